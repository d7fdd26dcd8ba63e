import type { MigrationVerdict, NicContext, NicWiring } from "../bindings/binding.ts";
import { isPrimary } from "../networks/network.ts";
import { movedName } from "../networks/pod-interface.ts";
import type { ClaimedDevice, PodFacts } from "../wiring/facts.ts";
import type { GuestNic } from "../wiring/wiring.ts";
import { listed, type Need, type Told, type Topic } from "./claim.ts";

/** What follows from a NIC's wiring, whatever its binding. */
export function fromWiring(
  nic: NicContext,
  facts: PodFacts,
  wired: NicWiring,
  ofVm: boolean,
): Readonly<
  Record<Exclude<Topic, "in" | "in-icmp" | "in-local" | "out" | "guard" | "memory" | "needs" | "migration">, Told>
> {
  return {
    mac: macOf(nic, facts, wired, ofVm),
    mtu: mtuOf(nic, facts, wired),
    dhcp4: dhcp4Of(wired),
    dhcp6: dhcp6Of(wired),
    ra: raOf(wired),
    queues: queuesOf(wired.nic, nic.queues),
  };
}

function macOf(nic: NicContext, facts: PodFacts, { nic: { mac, attachment } }: NicWiring, ofVm: boolean): Told {
  if (attachment.kind === "plugin") {
    const wanted = nic.mac === undefined ? "" : ` The manifest asks for ${nic.mac}.`;
    return { statement: `Which it is is for the binding plugin to say.${wanted}`, wanted: nic.mac };
  }
  if (attachment.kind === "vfio" && nic.mac === undefined) {
    const own = deviceOf(nic, facts)?.mac;
    return { statement: `The guest's NIC has the device's own${own === undefined ? "" : `, ${own}`}.`, mac: own };
  }
  const link = facts.links.find(({ name }) => name === nic.podInterface);
  const lasts = ofVm ? "; the VM keeps it over its restarts" : "";
  if (nic.keepsMac === true) {
    return { statement: `The guest's NIC has ${mac}, which its VM keeps over its restarts.`, mac, keptBy: "vm" };
  }
  const whose =
    nic.mac !== undefined
      ? "the manifest's"
      : link?.mac === mac
        ? `that of the pod's link ${link.name}${lasts}`
        : `made for it, the same as long as ${ofVm ? "the VM" : "the pod"} lives`;
  return { statement: `The guest's NIC has ${mac}, ${whose}.`, mac };
}

function deviceOf(nic: NicContext, { devices = [] }: PodFacts): ClaimedDevice | undefined {
  return devices.find(({ network }) => network === nic.name);
}

/** How a guest learns the MTU (reference 9.1). */
function mtuOf(nic: NicContext, facts: PodFacts, wired: NicWiring): Told {
  const { mtu, attachment } = wired.nic;
  if (attachment.kind === "plugin") {
    return { statement: "That is for the binding plugin to say.", hops: [], toldBy: [] };
  }
  if (attachment.kind === "vfio" && deviceOf(nic, facts)?.mtu === undefined) {
    return { statement: "The device's own, which the guest's driver reads from it.", hops: [], toldBy: [] };
  }
  const link = facts.links.find(({ name }) => name === nic.podInterface);
  const device = attachment.kind === "tap" || attachment.kind === "macvtap" ? attachment.device : undefined;
  const made = wired.kernel.links.filter(({ kind }) => kind === "bridge" || kind === "tap");
  const found = facts.links.find(({ name }) => name === device && name !== link?.name);
  const hops = [
    ...(link === undefined
      ? []
      : [{ device: wired.kernel.links.some(isMoved) ? movedName(link.name) : link.name, mtu: link.mtu }]),
    ...made.map((one) => ({ device: one.name, mtu: one.mtu })),
    ...(found === undefined || made.some(({ name }) => name === device)
      ? []
      : [{ device: found.name, mtu: found.mtu }]),
    { device: "the guest's NIC", mtu },
  ];
  const how = [
    ...(wired.services?.dhcp4 === undefined ? [] : ["DHCPv4 (option 26)"]),
    ...(wired.services?.ra === undefined ? [] : ["router advertisements"]),
    ...(wired.nic.model === "virtio" ? ["the virtio device itself"] : []),
    ...(attachment.kind === "stream" ? ["passt's DHCP"] : []),
  ];
  const same = hops.every((hop) => hop.mtu === mtu);
  const way = same
    ? `${mtu} on ${listed(hops.map(({ device }) => device))}`
    : listed(hops.map((hop) => `${hop.mtu} on ${hop.device}`));
  const told =
    how.length > 0
      ? `The guest learns it from ${listed(how)}.`
      : wired.nic.model === "vfio-pci"
        ? "The guest's driver reads it from the device."
        : "Nothing tells it to the guest: where it is not 1500, it has to be set there by hand.";
  return { statement: `${way.charAt(0).toUpperCase()}${way.slice(1)}. ${told}`, hops, toldBy: how };
}

function isMoved(link: NicWiring["kernel"]["links"][number]): boolean {
  return link.kind === "pod" && link.name !== link.from;
}

function dhcp4Of({ services, nic: { attachment } }: NicWiring): Told {
  const { dhcp4 } = services ?? {};
  if (dhcp4 === undefined || services === undefined) return { statement: nobody("DHCPv4", attachment), served: false };
  const { clientAddress, prefixLength, routers, dnsServers, searchDomains, ntpServers } = dhcp4;
  const routes = dhcp4.classlessRoutes.map(({ destination, gateway }) => `${destination} via ${gateway}`);
  const extras = [
    ...(routers.length === 0 ? [] : [`router ${listed(routers)}`]),
    ...(routes.length === 0 ? [] : [`routes ${listed(routes)}`]),
    ...(dnsServers.length === 0 ? [] : [`name server ${listed(dnsServers)}`]),
    ...(searchDomains.length === 0 ? [] : [`search ${searchDomains.join(" ")}`]),
    ...(dhcp4.hostName === undefined ? [] : [`host name ${dhcp4.hostName}`]),
    ...(ntpServers.length === 0 ? [] : [`time server ${listed(ntpServers)}`]),
    ...(dhcp4.tftpServerName === undefined ? [] : [`TFTP server ${dhcp4.tftpServerName}`]),
    ...(dhcp4.bootFileName === undefined ? [] : [`boot file ${dhcp4.bootFileName}`]),
    ...(dhcp4.privateOptions.length === 0
      ? []
      : [`private options ${listed(dhcp4.privateOptions.map(({ option }) => String(option)))}`]),
  ];
  const to = dhcp4.clientMac === undefined ? "any client" : `the guest's MAC alone`;
  return {
    statement: `Patchbay answers on ${services.device}, as ${dhcp4.serverAddress}, ${to}: ${clientAddress}/${prefixLength}, ${extras.join(", ")}.`,
    served: true,
    lease: dhcp4,
  };
}

function dhcp6Of({ services, nic: { attachment } }: NicWiring): Told {
  const { dhcp6 } = services ?? {};
  if (dhcp6 === undefined) return { statement: nobody("DHCPv6", attachment), served: false };
  const { clientAddress, dnsServers, searchDomains, hostName } = dhcp6;
  return {
    statement: `Patchbay answers: ${[
      clientAddress,
      ...(dnsServers.length === 0 ? [] : [`name server ${listed(dnsServers)}`]),
      ...(searchDomains.length === 0 ? [] : [`search ${searchDomains.join(" ")}`]),
      ...(hostName === undefined ? [] : [`host name ${hostName}`]),
    ].join(", ")}.`,
    served: true,
    lease: dhcp6,
  };
}

function raOf({ services, nic: { attachment } }: NicWiring): Told {
  const { ra } = services ?? {};
  if (ra === undefined) return { statement: nobody("router advertisements", attachment), served: false };
  return {
    statement: `Patchbay advertises ${ra.linkLocal} as default router for ${ra.routerLifetime} s, the prefix ${ra.prefix} as on link, MTU ${ra.mtu}${ra.dnsServers.length === 0 ? "" : `, name server ${listed(ra.dnsServers)}`}, and sends the guest to DHCPv6 for its address: it needs nothing set by hand.`,
    served: true,
    advertisement: ra,
  };
}

/** Who answers in Patchbay's place, if anybody. */
function nobody(what: string, attachment: GuestNic["attachment"]): string {
  switch (attachment.kind) {
    case "user":
    case "stream": {
      const family = what === "DHCPv4" ? 4 : 6;
      if (!attachment.families.includes(family)) return `Nobody answers: the pod has no IPv${family}.`;
      if (attachment.kind === "stream") return "passt itself answers, with the pod's own addresses.";
      return what === "DHCPv6"
        ? "QEMU itself answers, and gives no address by it: the guest makes its own out of what QEMU advertises."
        : "QEMU itself answers.";
    }
    case "plugin":
      return "That is for the binding plugin to say.";
    case "tap":
    case "macvtap":
    case "vfio":
      return `Patchbay serves no ${what} here; the guest gets what the network out there gives it.`;
  }
}

/** Figures of the documents (statements S3.76 and S3.81). */
const MSI_VECTORS_OF_A_GUEST = 200;
const KIB_A_QUEUE = 64;

function queuesOf({ queues, model, attachment }: GuestNic, wanted: number): Told {
  if (attachment.kind === "plugin") return { statement: "How many is for the binding plugin to say.", wanted };
  if (attachment.kind === "vfio") {
    return { statement: "As many as the card's function has: the guest's driver takes them from the device." };
  }
  if (model !== "virtio") return { statement: `One queue, as a NIC of model ${model} has.`, queues: 1 };
  // One each for the receive and the send queue of a pair, and one for changes of the configuration.
  const vectors = 2 * queues + 1;
  const inKernel = attachment.kind === "tap" || attachment.kind === "macvtap";
  const kib = inKernel ? queues * KIB_A_QUEUE : 0;
  const costs = inKernel
    ? `, and about ${kib} KiB of kernel memory where vhost carries ${queues === 1 ? "it" : "them"}`
    : "";
  const statement =
    queues === 1
      ? `One queue pair: a Linux guest takes ${vectors} MSI vectors for it, of the about ${MSI_VECTORS_OF_A_GUEST} that a guest has${costs}.`
      : `${queues} queue pairs, one a vCPU: a Linux guest takes ${vectors} MSI vectors for them, used or not, of the about ${MSI_VECTORS_OF_A_GUEST} that it has${costs}. The guest has to switch them on: ethtool -L NIC combined ${queues}.`;
  return { statement, queues, msiVectors: vectors, kernelKib: kib };
}

/** Whether it moves, and why not. */
export function migrationOf(verdict: MigrationVerdict, nic: NicContext, { kind }: GuestNic["attachment"]): Told {
  if (!verdict.migratable) return { statement: `No: ${verdict.reason}`, migratable: false };
  const address =
    kind === "tap" && nic.binding === "masquerade"
      ? " The guest keeps its own address and is found at the new pod's; connections break, so that a Service is the address to give away."
      : kind === "vfio"
        ? " The device is taken out before and another put in after."
        : kind === "macvtap" && nic.mac === undefined
          ? " Only with a macAddress in the manifest, though: another macvtap has another MAC."
          : nic.binding === "bridge" && isPrimary(nic.network, nic.podInterface)
            ? " The guest keeps its address until it renews its lease: whether anybody reaches it meanwhile is the network's affair."
            : "";
  return { statement: `Yes, nothing of this NIC forbids it.${address}`, migratable: true };
}

/** One statement out of all that is needed. */
export function needsOf(needs: readonly Need[]): Told {
  if (needs.length === 0) return { statement: "Nothing beyond the pod's own network.", needs };
  return {
    statement: `${listed(needs.map(({ phrase }) => phrase))}.`,
    needs: needs.map(({ what, name }) => ({ what, name })),
  };
}

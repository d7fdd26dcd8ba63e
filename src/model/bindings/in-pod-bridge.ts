import { formatCidr, networkOf, parseCidr } from "../addresses/cidr.ts";
import { formatIp } from "../addresses/ip.ts";
import { derivedMac } from "../addresses/mac.ts";
import { Fault } from "../fault.ts";
import { bridgeName, movedName, tapName } from "../networks/pod-interface.ts";
import { globalAddresses, type LinkFacts, type PodFacts } from "../wiring/facts.ts";
import type { Dhcp4Service, KernelState, Sysctl, WiredAddress, WiredLink } from "../wiring/wiring.ts";
import type { NicContext, NicWiring } from "./binding.ts";
import { guestDns } from "./guest-dns.ts";
import { type Ends, fencing, joining } from "./in-pod-bridge-rules.ts";
import { guestNic, podLink } from "./pod-link.ts";

/** 999 days, as KubeVirt's lease (reference 6.1). */
export const LEASE_SECONDS = 86_313_600;
/** Links that take frames for one MAC only: a bridge port is of no use there. */
const ONE_MAC_KINDS = new Set(["macvlan", "ipvlan"]);
/** Has the MAC of the link below it, and hears what is for the addresses that it holds. */
const BY_ADDRESS_KIND = "ipvlan";
/** Links whose place no guest can take: what they hear goes to whoever holds their device. */
const DEVICE_KINDS = new Set(["macvtap", "ipvtap"]);

/**
 * Puts the guest in the place of the pod on the pod's link: the link gets another name and loses its addresses, a
 * stand-in keeps the old name with them, and a bridge joins the link with a tap (reference 5.1).
 *
 * A macvlan or ipvlan link and the tap are joined by two nftables rules instead of a bridge: both ends keep the one MAC,
 * which is the only one that such a link takes frames for. An ipvlan link keeps its addresses as well, by which the kernel
 * tells what is for it (ipvlan.rst of the kernel); the rules take it all away before the pod's own stack hears it.
 *
 * @param serve the guest gets the pod's IPv4 address by DHCP, where the pod has one
 * @throws Fault PB4002 where the pod has no such link, PB4006 where its address has no route, PB4009 where it is of a kind
 * whose place no guest can take.
 */
export function inPodBridge(nic: NicContext, facts: PodFacts, serve: boolean): NicWiring {
  const link = podLink(nic, facts);
  refuseUnfit(nic, link);
  const mac = nic.mac ?? link.mac;
  const tap = tapName(nic.podInterface);
  const lease = serve ? leaseOf(nic, link, facts) : undefined;
  const joined = ONE_MAC_KINDS.has(link.kind) ? joinedByRules : joinedByBridge;
  const joint = { nic, link, facts, mac, tap, serverAddress: lease?.serverAddress };
  const { served, kernel } = joined(joint);
  return {
    kernel,
    nic: guestNic(nic, { attachment: { kind: "tap", device: tap, queues: nic.queues }, mac, mtu: link.mtu }),
    ...(lease === undefined
      ? {}
      : {
          services: { nic: nic.name, device: served.name, mac: served.mac, dhcp4: { ...lease, clientMac: mac } },
          // Whoever has met the pod by this address knows it at the link's MAC.
          announcements: mac === link.mac ? [] : [{ device: endsOf(joint).network, address: lease.clientAddress, mac }],
        }),
  };
}

function refuseUnfit({ index, binding, mac = "" }: NicContext, link: LinkFacts): void {
  const { name, kind } = link;
  const place = `spec.domain.devices.interfaces[${index}].${binding}`;
  const unfit = (reason: string, cure: string, where = place): Fault =>
    new Fault("PB4009", `A guest cannot take the place of the pod's link "${name}": ${reason}.`, {
      place: where,
      cure,
      data: { link: name, kind },
    });
  if (DEVICE_KINDS.has(kind)) {
    const fitting = kind === "macvtap" ? "the macvtap binding, or " : "";
    throw unfit(
      `a link of kind "${kind}" gives what it hears to whoever holds its device, and to no bridge`,
      `Use ${fitting}a network that the CNI plugin bridge, ptp or macvlan makes.`,
    );
  }
  if (kind !== BY_ADDRESS_KIND) return;
  if (link.noArp === true) {
    throw unfit(
      "an ipvlan link in one of the modes l3 and l3s has no ARP, and no frames for a guest",
      "Give the CNI plugin ipvlan the mode l2, or use bridge or macvlan, or masquerade on the pod network.",
    );
  }
  if (mac !== "" && mac !== link.mac) {
    throw unfit(
      `the guest is to have the MAC ${mac}, and all ipvlan links of a network have that of the link below them, ${link.mac}`,
      "Leave macAddress out, or use the CNI plugin bridge or macvlan.",
      `spec.domain.devices.interfaces[${index}].macAddress`,
    );
  }
}

interface Joint {
  readonly nic: NicContext;
  readonly link: LinkFacts;
  readonly facts: PodFacts;
  /** The guest's. */
  readonly mac: string;
  readonly tap: string;
  /** The DHCP server's, on the device that serves. */
  readonly serverAddress: string | undefined;
}

interface Joined {
  /** The device that the servers listen on. */
  readonly served: WiredLink;
  readonly kernel: KernelState;
}

function joinedByBridge(joint: Joint): Joined {
  const { nic, link, facts } = joint;
  const ends = endsOf(joint);
  const name = bridgeName(nic.podInterface);
  const mac = derivedMac(facts.podUid, name);
  const bridge: WiredLink = { kind: "bridge", name, mac, mtu: link.mtu };
  const links: readonly WiredLink[] = [
    // The link must not keep the guest's MAC: it would take the guest's frames for its own.
    { kind: "pod", name: ends.network, from: nic.podInterface, mac, mtu: link.mtu, master: name },
    bridge,
    { ...tapOf(joint), master: name },
    standIn(joint),
  ];
  return { served: bridge, kernel: { ...kernelOf(joint, links, name), tables: [fencing(name, ends)] } };
}

function joinedByRules(joint: Joint): Joined {
  const { nic, link, mac, tap } = joint;
  const ends = endsOf(joint);
  const device = tapOf(joint);
  const links: readonly WiredLink[] = [
    { kind: "pod", name: ends.network, from: nic.podInterface, mac, mtu: link.mtu },
    device,
    standIn(joint),
  ];
  return {
    served: device,
    kernel: { ...kernelOf(joint, links, tap), tables: [joining(bridgeName(nic.podInterface), ends)] },
  };
}

function endsOf({ nic, tap, serverAddress }: Joint): Ends {
  return { network: movedName(nic.podInterface), tap, serverAddress };
}

function tapOf({ nic, link, facts, tap }: Joint): Extract<WiredLink, { kind: "tap" }> {
  return { kind: "tap", name: tap, mac: derivedMac(facts.podUid, tap), mtu: link.mtu, queues: nic.queues };
}

function standIn({ nic, link }: Joint): WiredLink {
  return { kind: "dummy", name: nic.podInterface, mac: link.mac, mtu: link.mtu };
}

/** `serving` is the device that holds the DHCP server's address. */
function kernelOf(
  { nic, link, serverAddress }: Joint,
  links: readonly WiredLink[],
  serving: string,
): Omit<KernelState, "tables"> {
  const kept = [...globalAddresses(link, 4), ...globalAddresses(link, 6)].map(formatCidr);
  const holders = [nic.podInterface, ...(link.kind === BY_ADDRESS_KIND ? [movedName(nic.podInterface)] : [])];
  const addresses: WiredAddress[] = [
    ...(serverAddress === undefined ? [] : [{ link: serving, cidr: `${serverAddress}/32` }]),
    ...holders.flatMap((holder) => kept.map((cidr) => ({ link: holder, cidr }))),
  ];
  // A guest that renews its lease sends from its address, which the stand-in has as well: without these it is not heard.
  const heard: Sysctl[] =
    serverAddress === undefined
      ? []
      : [
          { key: `net/ipv4/conf/${serving}/accept_local`, value: "1" },
          // Loose; the strictness of all links would win over none.
          { key: `net/ipv4/conf/${serving}/rp_filter`, value: "2" },
        ];
  return { links, addresses, localRoutes: [], sysctls: [...sysctls(link, links), ...heard] };
}

function sysctls(link: LinkFacts, links: readonly WiredLink[]): Sysctl[] {
  const switched = (name: string, off: boolean): Sysctl => ({
    key: `net/ipv6/conf/${name}/disable_ipv6`,
    value: off ? "1" : "0",
  });
  const keeps6 = globalAddresses(link, 6).length > 0;
  return [
    // The stand-in's address is not to be answered for: the guest has it.
    ...(globalAddresses(link, 4).length === 0 ? [] : [{ key: "net/ipv4/conf/all/arp_ignore", value: "1" }]),
    // What only carries the guest's frames must not speak for itself. What keeps IPv6 addresses must be able to.
    ...links.flatMap(({ kind, name }): Sysctl[] => {
      if (kind === "dummy") return keeps6 ? [switched(name, false)] : [];
      if (kind !== "pod" || link.kind !== BY_ADDRESS_KIND || !keeps6) return [switched(name, true)];
      return [
        switched(name, false),
        // No link-local address, from which it would look for routers.
        { key: `net/ipv6/conf/${name}/addr_gen_mode`, value: "1" },
      ];
    }),
  ];
}

/** The pod's address as a lease; undefined where CNI gave it no IPv4 address: then nothing is served. */
function leaseOf(nic: NicContext, link: LinkFacts, facts: PodFacts): Dhcp4Service | undefined {
  const [address] = globalAddresses(link, 4);
  if (address === undefined) return undefined;
  const routes = facts.routes.filter(({ family, device }) => family === 4 && device === nic.podInterface);
  if (routes.length === 0) {
    throw new Fault("PB4006", `The pod's link "${link.name}" has an IPv4 address and no IPv4 route.`, {
      place: link.name,
      cure: "Without a route the guest could reach nobody: add one to the CNI configuration, such as its subnet's.",
      data: { address: formatCidr(address) },
    });
  }
  const subnet = formatCidr(networkOf(address));
  const isDefault = (destination: string): boolean => parseCidr(destination)?.prefixLength === 0;
  const told = routes.filter(({ destination, gateway }) => destination !== subnet || gateway !== undefined);
  const router = (routes.find(({ destination }) => isDefault(destination)) ?? routes[0])?.gateway;
  const dns = guestDns(facts.resolver, nic.subdomain);
  return {
    serverAddress: serverAddress(nic.index),
    clientAddress: formatIp(address.address),
    prefixLength: address.prefixLength,
    leaseSeconds: LEASE_SECONDS,
    mtu: link.mtu,
    routers: router === undefined ? [] : [router],
    dnsServers: dns.nameservers4,
    hostName: nic.hostName,
    ...(dns.domain === undefined ? {} : { domainName: dns.domain }),
    searchDomains: dns.search,
    // Default routes last: a client that takes only some takes the others (reference 6.2).
    classlessRoutes: [
      ...told.filter(({ destination }) => !isDefault(destination)),
      ...told.filter(({ destination }) => isDefault(destination)),
    ].map(({ destination, gateway }) => ({ destination, gateway: gateway ?? "0.0.0.0" })),
    ...nic.dhcpOptions,
  };
}

/** 169.254.75.1 with the interface's position behind it, as KubeVirt writes it; from the hundredth on in the next network. */
function serverAddress(index: number): string {
  return `169.254.${75 + Math.floor(index / 100)}.1${index % 100}`;
}

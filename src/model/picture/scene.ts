import { listed } from "../explain/claim.ts";
import { portsText } from "../explain/ports.ts";
import type { Plan, PlannedLink, PlannedNic } from "../wiring/plan.ts";
import { addressesOn, type Box, servesOf } from "./box.ts";
import { middleOf } from "./middle.ts";

/** The places on a packet's way, from the outside to the guest. */
export const STATIONS = ["outside", "node", "link", "middle", "tap", "guest"] as const;
export type Station = (typeof STATIONS)[number];

/** The way of one NIC's packets. */
export interface Lane {
  readonly nic: string;
  readonly binding: string;
  /** In the order of the stations; one that a packet does not pass is left out. */
  readonly boxes: readonly (readonly [Station, Box])[];
  /** False where nothing comes in that the guest did not ask for. */
  readonly inbound: boolean;
}

/** What a plan looks like: a lane for each NIC. */
export function sceneOf(plan: Plan): readonly Lane[] {
  return plan.nics.map((nic) => {
    const link = plan.pod.links.find(({ name, from }) => (from ?? name) === nic.podInterface && !isMade(plan, name));
    const tap = tapOf(plan, nic);
    const middle = middleOf(plan, nic);
    const boxes: (readonly [Station, Box | undefined])[] = [
      ["outside", outside(nic)],
      ["node", node(nic, link)],
      ["link", link === undefined ? undefined : linkBox(plan, link)],
      ["middle", middle],
      ["tap", tap === undefined ? undefined : tapBox(plan, nic, tap)],
      ["guest", guest(nic)],
    ];
    return {
      nic: nic.name,
      binding: nic.binding,
      boxes: boxes.flatMap(([station, box]) => (box === undefined ? [] : [[station, box] as const])),
      inbound: !(nic.attachment.kind === "user" && nic.attachment.forwards.length === 0),
    };
  });
}

/** True for a link that Patchbay makes, and which may have the name that the network's link had. */
function isMade({ pod }: Plan, name: string): boolean {
  return pod.links.some((link) => link.name === name && ["tap", "bridge", "dummy"].includes(link.kind));
}

function tapOf({ pod }: Plan, { attachment }: PlannedNic): PlannedLink | undefined {
  if (attachment.kind !== "tap") return undefined;
  return pod.links.find(({ kind, name }) => kind === "tap" && name === attachment.device);
}

function outside({ attachment, binding, ports }: PlannedNic): Box {
  const limited = ["masquerade", "passt", "passtBinding", "slirp"].includes(binding);
  if (attachment.kind === "user" && attachment.forwards.length === 0)
    return { title: "outside", lines: ["nothing comes in"] };
  if (attachment.kind === "plugin") return { title: "outside", lines: ["as the plugin lets in"] };
  const comes = !limited || ports.length === 0 ? "everything" : portsText(ports);
  return { title: "outside", lines: ["comes in:", comes] };
}

function node({ network, attachment }: PlannedNic, link: PlannedLink | undefined): Box {
  const how =
    attachment.kind === "vfio"
      ? [`VF ${attachment.pci}`, "vfio-pci"]
      : link === undefined
        ? []
        : [link.kind || "device"];
  switch (network.kind) {
    case "pod":
      return { title: "pod network", lines: how };
    case "multus":
      return { title: "Multus", lines: [network.networkName, ...(network.default ? ["as default"] : []), ...how] };
    case "genie":
      return { title: "Genie", lines: [network.networkName, ...how] };
    case "resourceClaim":
      return { title: "claim", lines: [`${network.claimName}/${network.requestName}`, ...how] };
  }
}

function linkBox(plan: Plan, link: PlannedLink): Box {
  return {
    title: link.name,
    lines: [
      ...(link.from === undefined ? [] : [`was ${link.from}`]),
      ...deviceLines(link),
      ...addressesOn(plan, link.name),
    ],
  };
}

function tapBox(plan: Plan, nic: PlannedNic, tap: PlannedLink): Box {
  const onTap = tap.master === undefined;
  return {
    title: tap.name,
    lines: [...(onTap ? [`mac ${tap.mac}`] : []), `mtu ${tap.mtu}`, ...addressesOn(plan, tap.name)],
    ...(onTap ? { serves: servesOf(nic) } : {}),
  };
}

function guest({ guest: hardware, serve, attachment }: PlannedNic): Box {
  const by =
    attachment.kind === "user"
      ? ["address by QEMU"]
      : attachment.kind === "stream"
        ? ["pod's addresses,", "by passt"]
        : [];
  return {
    title: hardware.model,
    lines: [
      `mac ${hardware.mac}`,
      `mtu ${hardware.mtu}`,
      ...(hardware.queues > 1 ? [`${hardware.queues} queues`] : []),
      `pci ${hardware.pci}`,
      ...(serve.dhcp4 === undefined ? [] : [`${serve.dhcp4.clientAddress}/${serve.dhcp4.prefixLength} DHCPv4`]),
      ...(serve.dhcp6 === undefined ? [] : [`${serve.dhcp6.clientAddress} DHCPv6`]),
      ...by,
    ],
  };
}

function deviceLines({ mac, mtu }: PlannedLink): string[] {
  return [`mac ${mac}`, `mtu ${mtu}`];
}

/** A way as a sentence, for those who do not see the picture. */
export function laneText({ nic, binding, boxes }: Lane): string {
  return `NIC ${nic} by ${binding}: ${listed(boxes.map(([, { title, lines }]) => `${title} (${lines.join(", ")})`))}.`;
}

import { listenedText, portsText } from "../explain/ports.ts";
import type { Plan, PlannedNic } from "../wiring/plan.ts";
import { addressesOn, type Box, servesOf } from "./box.ts";

/** What stands between the pod's link and the guest's tap: a translation, a bridge, rules, or a process. */
export function middleOf(plan: Plan, nic: PlannedNic): Box | undefined {
  const { attachment } = nic;
  switch (attachment.kind) {
    case "user":
      return {
        title: "QEMU, user network",
        lines: [
          `NAT of ${attachment.cidr}`,
          ...(attachment.forwards.length === 0 ? [] : [`listens on ${portsText(attachment.forwards)}`]),
          "TCP and UDP alone",
        ],
        serves: ["DHCPv4"],
      };
    case "stream": {
      const { tcp, udp } = attachment.ports;
      const all = tcp === "all" && udp === "all";
      return {
        title: "passt",
        lines: [`listens on ${all ? "every port" : listenedText(attachment.ports)}`, "TCP, UDP, ICMP echo"],
        serves: ["DHCPv4", "DHCPv6", "RA"],
      };
    }
    case "plugin":
      return { title: "binding plugin", lines: [attachment.plugin] };
    case "macvtap":
    case "vfio":
      return undefined;
    case "tap":
      return tapMiddle(plan, nic, attachment.device);
  }
}

function tapMiddle(plan: Plan, nic: PlannedNic, device: string): Box | undefined {
  const tap = plan.pod.links.find(({ name }) => name === device);
  const bridge = plan.pod.links.find(({ name }) => name === tap?.master);
  if (bridge !== undefined) {
    const dummy = plan.pod.links.find(({ kind, name }) => kind === "dummy" && name === nic.podInterface);
    return {
      title: `bridge ${bridge.name}`,
      lines: [
        `mac ${bridge.mac}`,
        `mtu ${bridge.mtu}`,
        ...addressesOn(plan, bridge.name),
        ...(dummy === undefined
          ? []
          : [`${dummy.name} stays as a dummy:`, `mac ${dummy.mac}`, ...addressesOn(plan, dummy.name)]),
      ],
      serves: servesOf(nic),
    };
  }
  if (nic.binding === "masquerade") return nat(plan, nic);
  const dummy = plan.pod.links.find(({ kind, name }) => kind === "dummy" && name === nic.podInterface);
  if (dummy === undefined) return undefined;
  return { title: "nftables fwd", lines: ["link ⇄ tap", "one MAC at both ends", `${dummy.name} stays as a dummy`] };
}

/** The translations of both families, in and out. */
function nat(plan: Plan, nic: PlannedNic): Box {
  const pod = addressesOn(plan, nic.podInterface).map((cidr) => cidr.replace(/\/\d+$/, ""));
  const sides = [nic.serve.dhcp4?.clientAddress, nic.serve.dhcp6?.clientAddress].flatMap((guest) =>
    guest === undefined ? [] : [{ guest, pod: pod.filter((address) => address.includes(":") === guest.includes(":")) }],
  );
  const what = nic.ports.length === 0 ? "all" : portsText(nic.ports);
  return {
    title: "nftables nat",
    lines: [
      `in, ${what}:`,
      ...sides.flatMap(({ guest, pod: addresses }) => addresses.map((address) => `${address} → ${guest}`)),
      "(KUBEVIRT_PREINBOUND)",
      "out, masquerade:",
      ...sides.flatMap(({ guest, pod: [address] }) => (address === undefined ? [] : [`${guest} → ${address}`])),
    ],
  };
}

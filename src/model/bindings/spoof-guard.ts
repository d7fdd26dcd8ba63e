import type { NicContext, NicWiring } from "./binding.ts";

/** Of a VMI: `true` in any letter case keeps its guest to its own MAC and addresses. */
export const SPOOF_GUARD_ANNOTATION = "patchbay.io/spoof-guard";

/** Before everything else that sees the guest's frames. */
const FIRST = -500;
/** What DHCPv4 and DHCPv6 servers answer from. */
const SERVER_PORTS = "{ 67, 547 }";

export function isGuarded({ annotations }: Pick<NicContext, "annotations">): boolean {
  return annotations[SPOOF_GUARD_ANNOTATION]?.toLowerCase() === "true";
}

/**
 * The wiring with rules at the tap that drop and count what a guest has no business to say: frames of another MAC, ARP and
 * neighbour discovery for another, answers of a DHCP server, router advertisements and redirects.
 *
 * Where the guest's IPv4 address is leased to it by the pod, ARP for any other is dropped as well. Needs no CNI plugin.
 */
export function withSpoofGuard(nic: NicContext, wiring: NicWiring): NicWiring {
  const { attachment, mac } = wiring.nic;
  if (!isGuarded(nic) || attachment.kind !== "tap") return wiring;
  const address = wiring.services?.dhcp4?.clientAddress;
  const number = `0x${BigInt(`0x${mac.replaceAll(":", "")}`).toString(16)}`;
  // The link-layer address option (RFC 4861 section 4.6.1) behind the target address, or where a solicitation has none
  // behind the reserved field: its type and length, then the MAC.
  const tells = (at: number, option: string): string => `@th,${at},16 ${option} @th,${at + 16},48 != ${number}`;
  const drops = [
    `ether saddr != ${mac}`,
    `arp saddr ether != ${mac}`,
    ...(address === undefined ? [] : [`arp saddr ip != { 0.0.0.0, ${address} }`]),
    `udp sport ${SERVER_PORTS}`,
    "icmpv6 type { nd-router-advert, nd-redirect }",
    `icmpv6 type nd-neighbor-advert ${tells(192, "0x201")}`,
    `icmpv6 type nd-neighbor-solicit ${tells(192, "0x101")}`,
    `icmpv6 type nd-router-solicit ${tells(64, "0x101")}`,
  ];
  return {
    ...wiring,
    kernel: {
      ...wiring.kernel,
      tables: [
        ...wiring.kernel.tables,
        {
          family: "netdev",
          name: `spoof-guard-${attachment.device}`,
          sets: [],
          chains: [
            {
              name: "from-guest",
              hook: { type: "filter", at: "ingress", priority: FIRST, device: attachment.device },
              rules: drops.map((match) => `${match} counter drop`),
            },
          ],
        },
      ],
    },
  };
}

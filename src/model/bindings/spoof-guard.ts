import type { Told } from "../explain/claim.ts";
import { isGuarded } from "../rules/spoof-guard.ts";
import type { NicContext, NicWiring } from "./binding.ts";

/** Before everything else that sees the guest's frames. */
const FIRST = -500;
/** What DHCPv4 and DHCPv6 servers answer from, and to: clients look at their own port alone. */
const SERVER_PORTS = "{ 67, 547 }";
const CLIENT_PORTS = "{ 68, 546 }";
/** Neighbour discovery is never fragmented (RFC 6980). */
const DISCOVERY = "{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect }";
/** Frames whose packet is not seen here and is seen by receivers: below a second VLAN tag, below SNAP. */
const HIDDEN = ["meta protocol { 8021q, 8021ad }", "meta protocol 0x0004 @nh,0,24 0xaaaa03"];
/** Of an IPv6 packet that is to come in pieces the first, with some of the upper layer, and without (RFC 7113). */
const [FIRST_PIECE, NOTHING_YET] = ["frag frag-off 0 @th,0,8 >= 0x0", "frag frag-off 0"] as const;
/** A nonce, which solicitations that look for duplicates have in place of an address (RFC 7527). */
const NONCE = "0xe01";

/** What the guard does to a NIC with this wiring, for people; undefined where there is none. */
export function spoofGuardOf(nic: NicContext, wiring: NicWiring): Told | undefined {
  const { attachment, mac } = wiring.nic;
  if (!isGuarded(nic) || attachment.kind !== "tap") return undefined;
  const address = wiring.services?.dhcp4?.clientAddress;
  const leased = address === undefined ? "" : ` and, in ARP, ${address} alone`;
  return {
    statement: `Of what the guest sends only frames of its own MAC ${mac} pass${leased}. ARP and neighbour discovery for another MAC, answers of a DHCP server, router advertisements and redirects are dropped at ${attachment.device} and counted there, and so is what could hide them.`,
    device: attachment.device,
    mac,
    ...(address === undefined ? {} : { address }),
  };
}

/** A sentence, with a space before it, for a NIC on a macvtap whose VMI asks for the guard; empty for any other. */
export function unguarded(nic: NicContext, { nic: { attachment } }: NicWiring): string {
  if (!isGuarded(nic) || attachment.kind !== "macvtap") return "";
  return " The spoof guard that its VMI asks for does not hold it there: what it sends does not come by a tap.";
}

/**
 * The wiring with rules at the tap that drop and count what a guest has no business to say: frames of another MAC, ARP and
 * neighbour discovery for another, answers of a DHCP server, router advertisements and redirects, and what could hide them.
 *
 * Where the guest's IPv4 address is leased to it by the pod, ARP for any other is dropped as well. Needs no CNI plugin.
 */
export function withSpoofGuard(nic: NicContext, wiring: NicWiring): NicWiring {
  const { attachment, mac } = wiring.nic;
  if (!isGuarded(nic) || attachment.kind !== "tap") return wiring;
  const address = wiring.services?.dhcp4?.clientAddress;
  const number = mac.replaceAll(":", "");
  // Of options there may be one: the link-layer address (RFC 4861 section 4.6.1) of the guest, behind the target address
  // or, where a router is solicited, behind the reserved field. A second one would hide what it says from the first check.
  const option = (type: string, at: number): string => `@th,${at},64 != 0x${type}01${number}`;
  const drops = [
    `ether saddr != ${mac}`,
    ...HIDDEN,
    `exthdr frag exists icmpv6 type ${DISCOVERY}`,
    // Receivers take ARP of other hardware types for Ethernet's.
    "arp htype != 1",
    `arp saddr ether != ${mac}`,
    ...(address === undefined ? [] : [`arp saddr ip != { 0.0.0.0, ${address} }`]),
    `udp sport ${SERVER_PORTS}`,
    `udp dport ${CLIENT_PORTS}`,
    "icmp type { redirect, router-advertisement }",
    "icmpv6 type { nd-router-advert, nd-redirect }",
    `icmpv6 type nd-neighbor-advert ${option("2", 192)}`,
    `icmpv6 type nd-neighbor-solicit @th,192,16 != ${NONCE} ${option("1", 192)}`,
    `icmpv6 type nd-router-solicit ${option("1", 64)}`,
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } @th,256,16 != 0x0",
    "icmpv6 type nd-router-solicit @th,128,16 != 0x0",
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
              rules: [
                ...drops.map((match) => `${match} counter drop`),
                `${FIRST_PIECE} accept`,
                `${NOTHING_YET} counter drop`,
              ],
            },
          ],
        },
      ],
    },
  };
}

import type { Told } from "../explain/claim.ts";
import type { NicContext, NicWiring } from "./binding.ts";

/**
 * `true`, in any letter case, keeps guests to their own MACs and addresses, `false` does not: of a VMI its guest, of the
 * object that gives the settings every guest made afterwards whose VMI does not say otherwise.
 */
export const SPOOF_GUARD_ANNOTATION = "patchbay.io/spoof-guard";

/** Before everything else that sees the guest's frames. */
const FIRST = -500;
/** What DHCPv4 and DHCPv6 servers answer from. */
const SERVER_PORTS = "{ 67, 547 }";

export function isGuarded({ annotations }: Pick<NicContext, "annotations">): boolean {
  return isSpoofGuardOn(annotations[SPOOF_GUARD_ANNOTATION]) === true;
}

/** What the annotation says; undefined for what is neither. */
export function isSpoofGuardOn(word: unknown): boolean | undefined {
  const known = typeof word === "string" ? word.toLowerCase() : undefined;
  return known === "true" ? true : known === "false" ? false : undefined;
}

/** Annotations of a VMI that is to be made, where the settings guard every guest: its own word counts first. */
export function withSpoofGuardOf(
  annotations: Readonly<Record<string, string>>,
  { spoofGuard }: { readonly spoofGuard: boolean },
): Readonly<Record<string, string>> {
  if (!spoofGuard || annotations[SPOOF_GUARD_ANNOTATION] !== undefined) return annotations;
  return { ...annotations, [SPOOF_GUARD_ANNOTATION]: "true" };
}

/** What the guard does to a NIC with this wiring, for people; undefined where there is none. */
export function spoofGuardOf(nic: NicContext, wiring: NicWiring): Told | undefined {
  const { attachment, mac } = wiring.nic;
  if (!isGuarded(nic) || attachment.kind !== "tap") return undefined;
  const address = wiring.services?.dhcp4?.clientAddress;
  const leased = address === undefined ? "" : ` and, in ARP, ${address} alone`;
  return {
    statement: `Of what the guest sends only frames of its own MAC ${mac} pass${leased}. ARP and neighbour discovery for another MAC, answers of a DHCP server, router advertisements and redirects are dropped at ${attachment.device} and counted there.`,
    device: attachment.device,
    mac,
    ...(address === undefined ? {} : { address }),
  };
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

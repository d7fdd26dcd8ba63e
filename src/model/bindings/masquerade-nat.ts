import type { Cidr } from "../addresses/cidr.ts";
import type { NftChain, NftSet, NftTable } from "../wiring/nft.ts";
import type { Forward } from "../wiring/wiring.ts";
import type { NicContext } from "./binding.ts";

/** The gateway and the guest of one family, and the pod's addresses that lead to the guest. */
export interface Side {
  readonly family: 4 | 6;
  readonly network: Cidr;
  readonly gateway: string;
  readonly guest: string;
  readonly podAddresses: readonly string[];
}

/** The NAT of one family (reference 5.3), its ports in one set so that a thousand of them cost what one does. */
export function natTable(side: Side, nic: NicContext, podLink: string, tap: string): NftTable {
  const ip = side.family === 4 ? "ip" : "ip6";
  const loopback = side.family === 4 ? "127.0.0.1" : "::1";
  const limited = nic.ports.length > 0;
  const port = limited ? "meta l4proto . th dport @ports " : "";
  const base = (name: string, priority: number, rules: readonly string[]): NftChain => ({
    name,
    hook: { type: "nat", at: name, priority },
    rules,
  });
  return {
    family: ip,
    name: "nat",
    sets: limited ? [portSet(nic)] : [],
    chains: [
      base("prerouting", -100, [
        `iifname "${podLink}" counter jump KUBEVIRT_PREINBOUND`,
        // The guest that calls its own pod address comes back to itself, as any other client of that address.
        ...side.podAddresses.map(
          (address) => `iifname "${tap}" ${ip} daddr ${address} counter jump KUBEVIRT_PREINBOUND`,
        ),
      ]),
      base("input", 100, []),
      base("output", -100, [`${ip} daddr ${loopback} ${port}counter dnat to ${side.guest}`]),
      base("postrouting", 100, [
        `${ip} saddr ${side.guest} counter masquerade`,
        `oifname "${tap}" counter jump KUBEVIRT_POSTINBOUND`,
      ]),
      { name: "KUBEVIRT_PREINBOUND", rules: [`${port}counter dnat to ${side.guest}`] },
      { name: "KUBEVIRT_POSTINBOUND", rules: [`${ip} saddr ${loopback} ${port}counter snat to ${side.gateway}`] },
    ],
  };
}

function portSet(nic: NicContext): NftSet {
  const flags = nic.ports.some(({ last }) => last !== undefined) ? { flags: ["interval"] } : {};
  return { name: "ports", type: "inet_proto . inet_service", ...flags, elements: portElements(nic) };
}

/** Each port once, sorted as nft lists them. */
function portElements(nic: NicContext): readonly string[] {
  const elements = new Map(nic.ports.map((forward) => [elementOf(forward), forward]));
  return [...elements]
    .sort(([, a], [, b]) => (a.protocol === b.protocol ? a.port - b.port : a.protocol === "tcp" ? -1 : 1))
    .map(([element]) => element);
}

function elementOf({ protocol, port, last }: Forward): string {
  return `${protocol} . ${port}${last === undefined || last === port ? "" : `-${last}`}`;
}

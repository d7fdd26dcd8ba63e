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

/** Of a VMI: `true` in any letter case where a proxy of Istio's stands in its pod. */
const INJECT_ANNOTATION = "sidecar.istio.io/inject";
/** The one port that a proxy leaves alone (reference 5.3). */
const NOT_PROXIED = 22;
/** What a proxy of Istio's listens on itself. */
export const PROXY_PORTS: readonly number[] = [15000, 15001, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090];
/** What the proxy calls the guest from. */
const PROXY_SOURCE = "127.0.0.6";

/** True where the pod's connections go through a proxy of a service mesh (reference 4.6). */
export function isMeshed({ annotations }: Pick<NicContext, "annotations">): boolean {
  return annotations[INJECT_ANNOTATION]?.toLowerCase() === "true";
}

/**
 * The NAT of one family (reference 5.3), its ports in one set so that a thousand of them cost what one does.
 *
 * In a mesh what comes in is the proxy's, which calls the guest by loopback or by the pod's address; only SSH goes straight.
 */
export function natTable(side: Side, nic: NicContext, podLink: string, tap: string): NftTable {
  const ip = side.family === 4 ? "ip" : "ip6";
  const loopback = side.family === 4 ? "127.0.0.1" : "::1";
  const limited = nic.ports.length > 0;
  const meshed = isMeshed(nic);
  const port = limited ? "meta l4proto . th dport @ports " : "";
  const base = (name: string, priority: number, rules: readonly string[]): NftChain => ({
    name,
    hook: { type: "nat", at: name, priority },
    rules,
  });
  const straight = nic.ports.some(({ protocol, port: first, last = first }) => {
    return protocol === "tcp" && first <= NOT_PROXIED && NOT_PROXIED <= last;
  });
  const inbound = meshed ? `tcp dport ${NOT_PROXIED} ` : port;
  const [own] = side.podAddresses;
  const inMesh = meshed && side.family === 4;
  const reserved = meshed && !limited ? [`${ip} saddr ${loopback} tcp dport ${setOf(PROXY_PORTS)} counter return`] : [];
  const callers = inMesh ? [loopback, PROXY_SOURCE] : [loopback];
  const called = inMesh && own !== undefined ? [loopback, own] : [loopback];
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
      base("output", -100, [...reserved, `${ip} daddr ${setOf(called)} ${port}counter dnat to ${side.guest}`]),
      base("postrouting", 100, [
        `${ip} saddr ${side.guest} counter masquerade`,
        `oifname "${tap}" counter jump KUBEVIRT_POSTINBOUND`,
      ]),
      {
        name: "KUBEVIRT_PREINBOUND",
        rules: meshed && limited && !straight ? [] : [`${inbound}counter dnat to ${side.guest}`],
      },
      {
        name: "KUBEVIRT_POSTINBOUND",
        rules: [...reserved, `${ip} saddr ${setOf(callers)} ${port}counter snat to ${side.gateway}`],
      },
    ],
  };
}

/** One value as it is, several as a set. */
function setOf(values: readonly (string | number)[]): string {
  return values.length === 1 ? `${values[0]}` : `{ ${values.join(", ")} }`;
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

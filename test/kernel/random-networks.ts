import type { Interface } from "../../src/model/api/interfaces.ts";
import type { Network } from "../../src/model/api/networks.ts";

/** Numbers below 1, the same ones for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a VMI says of its networks. */
export interface RandomNetworks {
  readonly interfaces: readonly Interface[];
  readonly networks: readonly Network[];
}

/** The link of the host that the definitions' macvlans are on. */
export const MASTER = "up0";

/** The definition whose rules the plugin bridge (1.1.1) leaves behind where a pod's namespace is gone before its DEL. */
export const MASQUERADED = "four";

/** Definitions of the namespace default, by name: with and without addresses, of each plugin that attaches a pod. */
export function randomDefinitions(leases: string): ReadonlyMap<string, object> {
  const pool = (...subnets: readonly string[]): object => ({
    type: "host-local",
    dataDir: leases,
    ranges: subnets.map((subnet) => [{ subnet }]),
  });
  const version = { cniVersion: "0.4.0" };
  const bridge = { type: "bridge", isGateway: true };
  return new Map<string, object>([
    ["l2", { ...version, name: "l2", type: "bridge", bridge: "br-l2" }],
    [
      MASQUERADED,
      { ...version, ...bridge, name: MASQUERADED, bridge: "br-four", ipMasq: true, ipam: pool("10.91.0.0/24") },
    ],
    ["six", { ...version, ...bridge, name: "six", bridge: "br-six", ipam: pool("fd91::/64") }],
    ["pair", { ...version, name: "pair", type: "ptp", mtu: 1400, ipam: pool("10.92.0.0/24", "fd92::/64") }],
    ["card", { ...version, name: "card", type: "macvlan", master: MASTER }],
    ["card4", { ...version, name: "card4", type: "macvlan", master: MASTER, ipam: pool("10.93.0.0/24") }],
    [
      "chain",
      {
        ...{ ...version, name: "chain" },
        plugins: [
          { ...bridge, bridge: "br-chain", ipam: pool("10.94.0.0/24", "fd94::/64") },
          { type: "tuning", capabilities: { mac: true }, mtu: 1300 },
        ],
      },
    ],
  ]);
}

const withAddress = ["four", "six", "pair", "card4", "chain"] as const;
const MOST_SECONDARY = 3;

/** A VMI's networks: the pod's under either binding or one in its place or none of it, and up to three others. */
export function randomNetworks(random: () => number, definitions: readonly string[]): RandomNetworks {
  const below = (limit: number): number => Math.floor(random() * limit);
  const one = <T>(of: readonly T[]): T => {
    const chosen = of[below(of.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  };
  const primary = one<readonly (readonly [Partial<Interface>, Partial<Network>])[]>([
    [[{ masquerade: {} }, { pod: {} }]],
    [[{ bridge: {} }, { pod: {} }]],
    [[{ bridge: {} }, { multus: { networkName: one(withAddress), default: true } }]],
    [],
  ]);
  const count = Math.max(primary.length === 0 ? 1 : 0, below(MOST_SECONDARY + 1));
  // The plugin ptp takes no pod twice: each definition is used once.
  const left = definitions.filter((name) => !primary.some(([, { multus }]) => multus?.networkName === name));
  const others = Array.from({ length: count }, () => {
    const networkName = one(left);
    left.splice(left.indexOf(networkName), 1);
    const mac = random() < 0.5 ? {} : { macAddress: `02-00-00-00-${hex(below(256))}-${hex(below(256))}` };
    return [{ bridge: {}, ...mac }, { multus: { networkName } }] as const;
  });
  const nics = [...primary, ...others];
  return {
    interfaces: nics.map(([iface], index) => ({ name: `nic${index}`, ...iface })),
    networks: nics.map(([, network], index) => ({ name: `nic${index}`, ...network })),
  };
}

function hex(octet: number): string {
  return octet.toString(16).padStart(2, "0");
}

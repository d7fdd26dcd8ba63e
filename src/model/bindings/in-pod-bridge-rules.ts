import type { NftChain, NftTable } from "../wiring/nft.ts";

/** The two ends that are joined, by the names that they have then. */
export interface Ends {
  /** The pod's link. */
  readonly network: string;
  readonly tap: string;
  /** The DHCP server's own address; undefined where none serves. */
  readonly serverAddress: string | undefined;
}

/** The priority `filter` of nft's bridge family. */
const BRIDGE_FILTER = -200;
/** What a DHCP client sends and what it gets (RFC 2131 section 4.1). */
const DHCP_REQUEST = "udp sport 68 udp dport 67";
const DHCP_ANSWER = "udp sport 67 udp dport 68";

/**
 * Keeps a bridge's own stack, which is the pod's, off the network, and the DHCP that the pod serves between the guest and
 * the pod. Where nothing is served the stack has nothing to tell the guest either, and the guest's DHCP goes to the network.
 */
export function fencing(bridge: string, { network, tap, serverAddress }: Ends): NftTable {
  const base = (name: string, at: string, rules: readonly string[]): NftChain => ({
    name,
    hook: { type: "filter", at, priority: BRIDGE_FILTER },
    rules,
  });
  const closed = serverAddress === undefined ? [network, tap] : [network];
  return {
    family: "bridge",
    name: bridge,
    sets: [],
    chains: [
      base(
        "from-pod",
        "output",
        closed.map((port) => `oifname "${port}" counter drop`),
      ),
      base(
        "to-pod",
        "input",
        closed.map((port) => `iifname "${port}" counter drop`),
      ),
      ...(serverAddress === undefined
        ? []
        : [
            base("between", "forward", [
              ...toServer(serverAddress).map((match) => `iifname "${tap}" ${match} counter drop`),
              `iifname "${network}" ${DHCP_ANSWER} counter drop`,
            ]),
          ]),
    ],
  };
}

/**
 * What arrives on one end leaves by the other, but for the DHCP that the pod serves, which stays between the guest and the
 * pod.
 */
export function joining(name: string, { network, tap, serverAddress }: Ends): NftTable {
  const ingress = (chain: string, device: string, rules: readonly string[]): NftChain => ({
    name: chain,
    hook: { type: "filter", at: "ingress", priority: 0, device },
    rules,
  });
  const [fromNetwork, fromGuest] =
    serverAddress === undefined
      ? [[], []]
      : [
          [`${DHCP_ANSWER} counter drop`],
          // What a stack broadcasts on a device it hears there itself.
          [...toServer(serverAddress), `ip saddr ${serverAddress}`].map((match) => `${match} counter accept`),
        ];
  return {
    family: "netdev",
    name,
    sets: [],
    chains: [
      ingress("from-network", network, [...fromNetwork, `counter fwd to "${tap}"`]),
      ingress("from-guest", tap, [...fromGuest, `counter fwd to "${network}"`]),
    ],
  };
}

/** What of the guest's is for the DHCP server. */
function toServer(address: string): readonly string[] {
  return [DHCP_REQUEST, `arp daddr ip ${address}`, `ip daddr ${address}`];
}

import { formatCidr, networkOf, parseCidr } from "../addresses/cidr.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import type { CniPlugin } from "./cni-config.ts";

/** Where flanneld writes what it has of the cluster's network. */
export const FLANNEL_SUBNET_FILE = "/run/flannel/subnet.env";

/** What flanneld says of this node. */
export interface FlannelSubnet {
  /** The cluster's networks, one a family at most. */
  readonly networks: readonly string[];
  /** This node's share of each, with the address of its gateway. */
  readonly subnets: readonly string[];
  readonly mtu: number;
  /** True where flanneld itself masquerades what leaves the cluster's network. */
  readonly masquerades: boolean;
}

/** Reads `subnet.env`; a text that says what is wrong with it. Never throws. */
export function parseFlannelSubnet(text: string): FlannelSubnet | string {
  const values = new Map(
    text.split("\n").flatMap((line) => {
      const [, key = "", value = ""] = /^\s*(FLANNEL_\w+)=(.*?)\s*$/.exec(line) ?? [];
      return key === "" ? [] : [[key, value] as const];
    }),
  );
  const pairs = ["FLANNEL", "FLANNEL_IPV6"].flatMap((prefix) => {
    const [network, subnet] = [values.get(`${prefix}_NETWORK`), values.get(`${prefix}_SUBNET`)];
    return network === undefined && subnet === undefined ? [] : [{ prefix, network, subnet }];
  });
  if (pairs.length === 0) return "it has no FLANNEL_NETWORK";
  for (const { prefix, network, subnet } of pairs) {
    if (network === undefined || parseCidr(network) === undefined) return `its ${prefix}_NETWORK is no network`;
    if (subnet === undefined || parseCidr(subnet) === undefined)
      return `its ${prefix}_SUBNET is no address with a prefix length`;
  }
  const mtu = Number(values.get("FLANNEL_MTU"));
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_535) return "its FLANNEL_MTU is no MTU";
  return {
    networks: pairs.flatMap(({ network = "" }) => network),
    subnets: pairs.flatMap(({ subnet = "" }) => subnet),
    mtu,
    masquerades: values.get("FLANNEL_IPMASQ") === "true",
  };
}

/** The file that a flannel configuration reads. */
export function flannelSubnetFile({ config }: CniPlugin): string {
  const { subnetFile } = config;
  return typeof subnetFile === "string" && subnetFile !== "" ? subnetFile : FLANNEL_SUBNET_FILE;
}

/**
 * The plugin that flannel delegates to: its `delegate`, a bridge where that names no type, with an address of the node's
 * subnet and routes to the cluster's networks. What the delegate says itself stays.
 */
export function flannelDelegate({ config, capabilities }: CniPlugin, subnet: FlannelSubnet): CniPlugin {
  const given: JsonObject = isJsonObject(config["delegate"]) ? config["delegate"] : {};
  const type = typeof given["type"] === "string" && given["type"] !== "" ? given["type"] : "bridge";
  const ranges = subnet.subnets.flatMap((text) => {
    const cidr = parseCidr(text);
    return cidr === undefined ? [] : [[{ subnet: formatCidr(networkOf(cidr)) }]];
  });
  const ownIpam = isJsonObject(given["ipam"]) ? given["ipam"] : {};
  const ipam = {
    ...ownIpam,
    type: "host-local",
    ranges,
    routes: [
      ...(Array.isArray(ownIpam["routes"]) ? ownIpam["routes"] : []),
      ...subnet.networks.map((dst) => ({ dst })),
    ],
  };
  return {
    type,
    ipamType: "host-local",
    capabilities,
    config: {
      ...(type === "bridge" ? { isGateway: true } : {}),
      ipMasq: !subnet.masquerades,
      mtu: subnet.mtu,
      ...given,
      type,
      ipam,
    },
  };
}

import { formatCidr, hostAddress, parseCidr } from "../addresses/cidr.ts";
import { formatIp, parseIp } from "../addresses/ip.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";
import type { CniPlugin } from "./cni-config.ts";

/** What an IPAM section hands out to the first that asks. */
export interface FirstLease {
  /** With prefix length. */
  readonly addresses: readonly string[];
  readonly routes: readonly { readonly destination: string; readonly gateway?: string }[];
}

/** A network for documentation (RFC 5737), in place of one that a DHCP server alone knows. */
const UNKNOWN_NETWORK = { address: "192.0.2.10/24", gateway: "192.0.2.1" };

/**
 * The addresses and routes that a plugin's `ipam` gives: `static`, `host-local`, `whereabouts`, and for `dhcp` a stand-in.
 * Nothing for a section that cannot be read, or none.
 */
export function firstLease({ config, ipamType }: CniPlugin): FirstLease {
  const ipam = objectAt(config, "ipam");
  const pools = poolsOf(ipam, ipamType);
  const gateways = pools.map(({ gateway }) => gateway);
  return {
    addresses: pools.map(({ address }) => address),
    routes: list(ipam, "routes").flatMap((route) => {
      const destination = parseCidr(textAt(route, "dst") ?? "");
      if (destination === undefined) return [];
      const gateway =
        textAt(route, "gw") ??
        gateways.find((candidate) => parseIp(candidate ?? "")?.length === destination.address.length);
      return [{ destination: formatCidr(destination), ...(gateway === undefined ? {} : { gateway }) }];
    }),
  };
}

interface Pool {
  readonly address: string;
  readonly gateway?: string;
}

function poolsOf(ipam: JsonObject, type: string | undefined): readonly Pool[] {
  switch (type) {
    case "static":
      return list(ipam, "addresses").flatMap((entry) => pool(textAt(entry, "address"), textAt(entry, "gateway")));
    case "host-local":
      return rangesOf(ipam).flatMap((range) => {
        const subnet = parseCidr(textAt(range, "subnet") ?? "");
        const first = subnet === undefined ? undefined : hostAddress(subnet, 1);
        const second = subnet === undefined ? undefined : hostAddress(subnet, 2);
        if (subnet === undefined || first === undefined || second === undefined) return [];
        const start = textAt(range, "rangeStart") ?? formatIp(second);
        return pool(`${start}/${subnet.prefixLength}`, textAt(range, "gateway") ?? formatIp(first));
      });
    case "whereabouts": {
      const range = parseCidr(textAt(ipam, "range") ?? "");
      const first = range === undefined ? undefined : hostAddress(range, 1);
      if (range === undefined || first === undefined) return [];
      const start = textAt(ipam, "range_start") ?? formatIp(first);
      return pool(`${start}/${range.prefixLength}`, textAt(ipam, "gateway"));
    }
    case "dhcp":
      return [UNKNOWN_NETWORK];
    default:
      return [];
  }
}

/** The first range of each set: what the first that asks gets its address from. */
function rangesOf(ipam: JsonObject): readonly JsonObject[] {
  return rangeSets(ipam).flatMap(([first]) => (first === undefined ? [] : [first]));
}

/** host-local's sets of ranges, of each of which one address is given; older configurations have one range on top. */
export function rangeSets(ipam: JsonObject): readonly (readonly JsonObject[])[] {
  const { ranges } = ipam;
  const sets = (Array.isArray(ranges) ? ranges : []).map((set: unknown): readonly JsonObject[] =>
    Array.isArray(set) ? set.flatMap((range: unknown) => (isJsonObject(range) ? [range] : [])) : [],
  );
  return textAt(ipam, "subnet") === undefined ? sets : [[ipam], ...sets];
}

function pool(address: string | undefined, gateway: string | undefined): readonly Pool[] {
  const parsed = parseCidr(address ?? "");
  if (parsed === undefined) return [];
  return [{ address: formatCidr(parsed), ...(gateway === undefined ? {} : { gateway }) }];
}

function list(object: JsonObject, key: string): readonly JsonObject[] {
  const value = object[key];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

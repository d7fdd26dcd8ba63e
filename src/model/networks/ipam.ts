import { formatCidr, parseCidr } from "../addresses/cidr.ts";
import { formatIp, parseIp } from "../addresses/ip.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";
import type { CniPlugin } from "./cni-config.ts";
import { firstAddress, readRanges } from "./ipam-ranges.ts";

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
export function firstLease(plugin: CniPlugin): FirstLease {
  const ipam = objectAt(plugin.config, "ipam");
  const pools = poolsOf(ipam, plugin);
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

function poolsOf(ipam: JsonObject, plugin: CniPlugin): readonly Pool[] {
  switch (plugin.ipamType) {
    case "static":
      return list(ipam, "addresses").flatMap((entry) => pool(textAt(entry, "address"), textAt(entry, "gateway")));
    case "host-local":
    case "whereabouts":
      return readRanges(plugin).sets.flatMap(([range]) => {
        const address = range === undefined ? undefined : firstAddress(range);
        if (range === undefined || address === undefined) return [];
        const { gateway, subnet } = range;
        return pool(
          `${formatIp(address)}/${subnet.prefixLength}`,
          gateway === undefined ? undefined : formatIp(gateway),
        );
      });
    case "dhcp":
      return [UNKNOWN_NETWORK];
    default:
      return [];
  }
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

import { addressNumber, hostAddress, parseCidr, sizeOf } from "../addresses/cidr.ts";
import { formatIp, parseIp } from "../addresses/ip.ts";
import { type JsonObject, objectAt, textAt } from "../json.ts";
import type { CniPlugin } from "./cni-config.ts";
import { rangeSets } from "./ipam.ts";

/** Where host-local keeps the addresses that it gave out, a file each, where a configuration names no folder. */
export const HOST_LOCAL_DATA_DIR = "/var/lib/cni/networks";

/** A set of host-local's ranges: each pod gets one address of it. */
export interface Pool {
  /** Its subnets as the configuration has them. */
  readonly subnets: readonly string[];
  /** How many addresses it can give out. */
  readonly size: bigint;
  /** How many it has given out. */
  readonly used: bigint;
}

/** The pools of a host-local section, with what is used of each; none for another IPAM. `taken` are addresses as text. */
export function poolsOf({ config, ipamType }: CniPlugin, taken: readonly string[]): readonly Pool[] {
  if (ipamType !== "host-local") return [];
  return rangeSets(objectAt(config, "ipam")).flatMap((set) => {
    const ranges = set.flatMap((range) => rangeOf(range, taken) ?? []);
    if (ranges.length === 0) return [];
    const sum = (key: "size" | "used"): bigint => ranges.reduce((total, range) => total + range[key], 0n);
    return [{ subnets: ranges.map(({ subnet }) => subnet), size: sum("size"), used: sum("used") }];
  });
}

/** host-local leaves out the network's own address, the gateway, and of IPv4 the broadcast address. */
function rangeOf(
  range: JsonObject,
  taken: readonly string[],
): { readonly subnet: string; readonly size: bigint; readonly used: bigint } | undefined {
  const subnet = parseCidr(textAt(range, "subnet") ?? "");
  if (subnet === undefined) return undefined;
  const spared = subnet.family === 4 ? 2n : 1n;
  const first = parseIp(textAt(range, "rangeStart") ?? "") ?? hostAddress(subnet, 1);
  const last = parseIp(textAt(range, "rangeEnd") ?? "") ?? hostAddress(subnet, sizeOf(subnet) - spared);
  const gateway = parseIp(textAt(range, "gateway") ?? "") ?? hostAddress(subnet, 1);
  if (first === undefined || last === undefined) return undefined;
  const within = (address: Uint8Array | undefined): boolean =>
    address?.length === first.length &&
    addressNumber(first) <= addressNumber(address) &&
    addressNumber(address) <= addressNumber(last);
  return {
    subnet: textAt(range, "subnet") ?? "",
    size: addressNumber(last) - addressNumber(first) + 1n - (within(gateway) ? 1n : 0n),
    used: BigInt(taken.filter((address) => within(parseIp(address))).length),
  };
}

/** The address that a file of host-local's folder is named after; undefined for its other files. */
export function addressOfFile(name: string): string | undefined {
  const address = parseIp(name.replaceAll("_", ":"));
  return address === undefined ? undefined : formatIp(address);
}

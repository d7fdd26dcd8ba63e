import { addressNumber, formatCidr } from "../addresses/cidr.ts";
import { formatIp, parseIp } from "../addresses/ip.ts";
import type { CniPlugin } from "./cni-config.ts";
import { type AddressRange, readRanges } from "./ipam-ranges.ts";

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
export function poolsOf(plugin: CniPlugin, taken: readonly string[]): readonly Pool[] {
  if (plugin.ipamType !== "host-local") return [];
  return readRanges(plugin).sets.map((set) => {
    const ranges = set.map((range) => countOf(range, taken));
    const sum = (key: "size" | "used"): bigint => ranges.reduce((total, range) => total + range[key], 0n);
    return { subnets: set.map(({ subnet }) => formatCidr(subnet)), size: sum("size"), used: sum("used") };
  });
}

function countOf({ first, last, gateway }: AddressRange, taken: readonly string[]): { size: bigint; used: bigint } {
  const within = (address: Uint8Array | undefined): boolean =>
    address?.length === first.length &&
    addressNumber(first) <= addressNumber(address) &&
    addressNumber(address) <= addressNumber(last);
  return {
    size: addressNumber(last) - addressNumber(first) + 1n - (within(gateway) ? 1n : 0n),
    used: BigInt(taken.filter((address) => within(parseIp(address))).length),
  };
}

/** The address that a file of host-local's folder is named after; undefined for its other files. */
export function addressOfFile(name: string): string | undefined {
  const address = parseIp(name.replaceAll("_", ":"));
  return address === undefined ? undefined : formatIp(address);
}

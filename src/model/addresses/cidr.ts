import { type Family, formatIp, parseIp } from "./ip.ts";

/** An address with its prefix length, the host bits as they were written. */
export interface Cidr {
  readonly family: Family;
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

/** Reads `10.10.10.77/24` or `fd10:0:2::/120`; undefined for anything else. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefixLength = Number(length);
  if (prefixLength > address.length * 8) return undefined;
  return { family: address.length === 4 ? 4 : 6, address, prefixLength };
}

/** Canonical text, host bits kept. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.address)}/${cidr.prefixLength}`;
}

/** The mask of a prefix length; 255.255.255.0 for 24 in family 4. */
export function maskOf(family: Family, prefixLength: number): Uint8Array {
  return Uint8Array.from({ length: family === 4 ? 4 : 16 }, (_, index) => {
    const bits = Math.min(8, Math.max(0, prefixLength - index * 8));
    return (0xff << (8 - bits)) & 0xff;
  });
}

/** The network itself: host bits zero. */
export function networkOf(cidr: Cidr): Cidr {
  const mask = maskOf(cidr.family, cidr.prefixLength);
  return { ...cidr, address: cidr.address.map((octet, index) => octet & (mask[index] ?? 0)) };
}

/** Number of addresses, network and broadcast address included. */
export function sizeOf(cidr: Cidr): bigint {
  return 1n << BigInt(cidr.address.length * 8 - cidr.prefixLength);
}

/** The address `offset` after the network address; undefined outside of the network. */
export function hostAddress(cidr: Cidr, offset: number | bigint): Uint8Array | undefined {
  if (typeof offset === "number" && !Number.isSafeInteger(offset)) return undefined;
  const distance = BigInt(offset);
  if (distance < 0n || distance >= sizeOf(cidr)) return undefined;
  return toBytes(addressNumber(networkOf(cidr).address) + distance, cidr.address.length);
}

/** True when the address is of the network's family and inside it. */
export function contains(cidr: Cidr, address: Uint8Array): boolean {
  if (address.length !== cidr.address.length) return false;
  const mask = maskOf(cidr.family, cidr.prefixLength);
  return mask.every((bits, index) => ((address[index] ?? 0) & bits) === ((cidr.address[index] ?? 0) & bits));
}

/** True when two networks share an address. */
export function overlaps(one: Cidr, other: Cidr): boolean {
  return one.prefixLength <= other.prefixLength ? contains(one, other.address) : contains(other, one.address);
}

/** An address as a number. */
export function addressNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, octet) => (sum << 8n) | BigInt(octet), 0n);
}

function toBytes(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Number((value >> BigInt((length - 1 - index) * 8)) & 0xffn));
}

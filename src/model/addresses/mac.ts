import { sha256 } from "@noble/hashes/sha2.js";

/**
 * The octets of a hardware address in the three forms that Go's `net.ParseMAC` reads: `aa:bb:cc:dd:ee:ff`,
 * `aa-bb-cc-dd-ee-ff` and `aabb.ccdd.eeff`, of 6, 8 or 20 octets; undefined for anything else.
 */
export function parseHardwareAddress(text: string): Uint8Array | undefined {
  const separator = text[2] === ":" || text[2] === "-" ? text[2] : text[4] === "." ? "." : undefined;
  if (separator === undefined) return undefined;
  const groups = text.split(separator);
  const digits = separator === "." ? 4 : 2;
  if (!groups.every((group) => group.length === digits && /^[0-9a-fA-F]+$/.test(group))) return undefined;
  const hex = groups.join("");
  if (hex.length !== 12 && hex.length !== 16 && hex.length !== 40) return undefined;
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16),
  );
}

/** The six octets of an Ethernet address in any of the three forms; undefined for anything else. */
export function parseMac(text: string): Uint8Array | undefined {
  const bytes = parseHardwareAddress(text);
  return bytes?.length === 6 ? bytes : undefined;
}

/** Lower-case text with colons. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** The one spelling of an Ethernet address, lower case with colons; undefined when `text` is none. */
export function canonicalMac(text: string): string | undefined {
  const bytes = parseMac(text);
  return bytes === undefined ? undefined : formatMac(bytes);
}

/** True for a group address (multicast or broadcast): no NIC may have it. */
export function isGroupMac(bytes: Uint8Array): boolean {
  return ((bytes[0] ?? 0) & 1) === 1;
}

/** The link-local address fe80::/64 with the modified EUI-64 of a six-octet MAC (RFC 4291 appendix A). */
export function linkLocalOf(mac: Uint8Array): Uint8Array {
  const address = new Uint8Array(16);
  address.set([0xfe, 0x80], 0);
  address.set([(mac[0] ?? 0) ^ 0x02, mac[1] ?? 0, mac[2] ?? 0, 0xff, 0xfe, mac[3] ?? 0, mac[4] ?? 0, mac[5] ?? 0], 8);
  return address;
}

/** An address of our own making (locally administered), the same for the same words and else hardly ever. */
export function derivedMac(...words: readonly string[]): string {
  const bytes = sha256(new TextEncoder().encode(words.join("\0"))).slice(0, 6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return formatMac(bytes);
}

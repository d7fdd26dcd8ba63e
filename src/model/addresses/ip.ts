/** IP version. */
export type Family = 4 | 6;

/** The four octets of a dotted IPv4 address; undefined for anything else. Leading zeros are refused, as Go's `netip` does. */
export function parseIp4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const octets = parts.map((part) => (/^(?:0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return octets.every((octet) => octet < 256) ? Uint8Array.from(octets) : undefined;
}

/**
 * The sixteen octets of an IPv6 address in any form of RFC 4291 section 2.2; undefined for anything else.
 *
 * No zone (`%eth0`), no brackets, no prefix length.
 */
export function parseIp6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves;
  const before = groups(head ?? "", tail === undefined);
  const after = tail === undefined ? [] : groups(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const given = before.length + after.length;
  // "::" stands for at least one group (RFC 4291 section 2.2).
  if (tail === undefined ? given !== 16 : given > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(before, 0);
  bytes.set(after, 16 - after.length);
  return bytes;
}

/** Octets of colon-separated groups; the last may be a dotted IPv4 address when `dotted`. Undefined where one is malformed. */
function groups(text: string, dotted: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const octets: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      const value = Number.parseInt(part, 16);
      octets.push(value >> 8, value & 0xff);
      continue;
    }
    const embedded = dotted && index === parts.length - 1 ? parseIp4(part) : undefined;
    if (embedded === undefined) return undefined;
    octets.push(...embedded);
  }
  return octets;
}

/** The octets of an IPv4 (4) or IPv6 (16) address; undefined for anything else. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(":") ? parseIp6(text) : parseIp4(text);
}

/** Family of an address in text; undefined when it is none. */
export function familyOf(text: string): Family | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : bytes.length === 4 ? 4 : 6;
}

/** Canonical text of 16 octets as IPv6 (RFC 5952) and of 4 as dotted IPv4. */
export function formatIp(bytes: Uint8Array): string {
  return bytes.length === 16 ? formatIp6(bytes) : Array.from(bytes.subarray(0, 4)).join(".");
}

/** The one spelling of an address: RFC 5952 or dotted IPv4; undefined when `text` is none. */
export function canonicalIp(text: string): string | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : formatIp(bytes);
}

/** True for an address that holds on its link alone: fe80::/10 (RFC 4291), 169.254.0.0/16 (RFC 3927). */
export function isLinkLocal(text: string): boolean {
  const [first = 0, second = 0] = parseIp(text) ?? [];
  return text.includes(":") ? first === 0xfe && (second & 0xc0) === 0x80 : first === 169 && second === 254;
}

/** True when both are the same address, whatever their spelling. */
export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((octet, index) => octet === other[index]);
}

function formatIp6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) {
    return `::ffff:${Array.from(bytes.subarray(12)).join(".")}`;
  }
  const hole = longestZeros(words);
  const text = (part: readonly number[]): string => part.map((word) => word.toString(16)).join(":");
  if (hole === undefined) return text(words);
  return `${text(words.slice(0, hole.start))}::${text(words.slice(hole.start + hole.length))}`;
}

/** The longest run of two or more zero words, the first of equals (RFC 5952 section 4.2). */
function longestZeros(words: readonly number[]): { readonly start: number; readonly length: number } | undefined {
  let best: { start: number; length: number } | undefined;
  let start = 0;
  for (let index = 0; index <= words.length; index += 1) {
    if (words[index] === 0) continue;
    const length = index - start;
    if (length >= 2 && length > (best?.length ?? 0)) best = { start, length };
    start = index + 1;
  }
  return best;
}

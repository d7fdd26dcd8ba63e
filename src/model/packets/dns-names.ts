import { type Decoded, decoded, refused } from "./decoded.ts";
import { concat } from "./octets.ts";

const LONGEST_LABEL = 63;
/** Octets of a name on the wire, the root's zero included (RFC 1035 section 2.3.4). */
const LONGEST_NAME = 255;

/** A label of a search domain: letters, digits, hyphens inside, underscores (as in service names). */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/;

/**
 * The spelling in which a search domain is sent: lower case, no final dot.
 *
 * Undefined where it is no host-like domain name: an empty or over-long label, over 253 characters, other characters.
 */
export function canonicalDomain(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, "");
  const sound =
    name.length <= 253 && name.split(".").every((label) => label.length <= LONGEST_LABEL && LABEL.test(label));
  return sound ? name : undefined;
}

/** RFC 1035 labels without compression; undefined for what {@link canonicalDomain} refuses. */
export function encodeName(text: string): Uint8Array | undefined {
  const name = canonicalDomain(text);
  if (name === undefined) return undefined;
  const encoder = new TextEncoder();
  const labels = name.split(".").map((label) => concat([label.length], encoder.encode(label)));
  return concat(...labels, [0]);
}

/** Names one after the other, uncompressed; those that cannot be encoded are left out. */
export function encodeNames(names: readonly string[]): Uint8Array {
  return concat(...names.flatMap((name) => encodeName(name) ?? []));
}

/**
 * Reads names that stand one after the other, uncompressed (RFC 8415 section 10, RFC 8106 section 5.2, RFC 3397).
 *
 * With `padded`, zeros after the last name are skipped, as a DNSSL option has them. A compression pointer is refused.
 */
export function decodeNames(bytes: Uint8Array, padded = false): Decoded<readonly string[]> {
  const names: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (padded && bytes[at] === 0) {
      at += 1;
      continue;
    }
    const start = at;
    const labels: string[] = [];
    for (;;) {
      const length = bytes[at];
      if (length === undefined) return refused("truncated", "a domain name has no end");
      at += 1;
      if (length === 0) break;
      if (length > LONGEST_LABEL) return refused("malformed", "a domain name is compressed or its label too long");
      if (at + length > bytes.length) return refused("truncated", "a label of a domain name");
      labels.push(String.fromCharCode(...bytes.subarray(at, at + length)));
      at += length;
    }
    if (at - start > LONGEST_NAME) return refused("malformed", "a domain name is longer than 255 octets");
    const name = labels.join(".");
    if (canonicalDomain(name) !== name.toLowerCase())
      return refused("malformed", "a domain name holds other characters");
    names.push(name);
  }
  return decoded(names);
}

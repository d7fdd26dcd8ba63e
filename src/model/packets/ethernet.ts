import { type Decoded, decoded, refused } from "./decoded.ts";
import { concat, part, readU16, u16 } from "./octets.ts";

/** EtherTypes. */
export const etherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

/** The address of all stations. */
export const BROADCAST_MAC: Uint8Array = new Uint8Array(6).fill(0xff);

/** An Ethernet II frame without its check sequence. */
export interface EthernetFrame {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Reads a frame; one with a length instead of a type (IEEE 802.3) is unsupported. */
export function decodeEthernet(bytes: Uint8Array): Decoded<EthernetFrame> {
  if (bytes.length < 14) return refused("truncated", "the Ethernet header");
  const type = readU16(bytes, 12);
  if (type < 0x0600) return refused("unsupported", "an 802.3 length field");
  return decoded({ destination: part(bytes, 0, 6), source: part(bytes, 6, 12), type, payload: part(bytes, 14) });
}

/** The frame's bytes, not padded: the driver does that. */
export function encodeEthernet(frame: EthernetFrame): Uint8Array {
  return concat(frame.destination, frame.source, u16(frame.type), frame.payload);
}

/** The group MAC of an IPv6 multicast address (RFC 2464 section 7). */
export function multicastMac(address: Uint8Array): Uint8Array {
  return concat([0x33, 0x33], address.subarray(12, 16));
}

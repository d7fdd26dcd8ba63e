import { type Decoded, decoded, refused } from "./decoded.ts";
import { concat, part, readU16, u16, u32 } from "./octets.ts";

/** An IPv6 packet without extension headers (RFC 8200). Addresses are 16 octets. */
export interface Ip6Packet {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly payload: Uint8Array;
}

const HEADER = 40;

/** Reads a packet; octets past its payload length (Ethernet padding) are dropped. */
export function decodeIp6(bytes: Uint8Array): Decoded<Ip6Packet> {
  if (bytes.length < HEADER) return refused("truncated", "the IPv6 header");
  if ((bytes[0] ?? 0) >> 4 !== 6) return refused("malformed", "the IP version is not 6");
  const length = readU16(bytes, 4);
  if (bytes.length < HEADER + length) return refused("truncated", "the IPv6 payload");
  return decoded({
    source: part(bytes, 8, 24),
    destination: part(bytes, 24, 40),
    nextHeader: bytes[6] ?? 0,
    hopLimit: bytes[7] ?? 0,
    payload: part(bytes, HEADER, HEADER + length),
  });
}

/** The packet's bytes; traffic class and flow label are zero. */
export function encodeIp6(packet: Ip6Packet): Uint8Array {
  return concat(
    u32(0x60000000),
    u16(packet.payload.length),
    [packet.nextHeader, packet.hopLimit],
    packet.source,
    packet.destination,
    packet.payload,
  );
}

/** The checksum of an upper-layer packet with its pseudo header (RFC 8200 section 8.1); zero when a filled-in one is right. */
export function checksum6(
  source: Uint8Array,
  destination: Uint8Array,
  nextHeader: number,
  payload: Uint8Array,
): number {
  const whole = concat(source, destination, u32(payload.length), [0, 0, 0, nextHeader], payload);
  let sum = 0;
  for (let at = 0; at < whole.length; at += 2) sum += readU16(whole, at);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

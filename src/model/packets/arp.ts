import { type Decoded, decoded, refused } from "./decoded.ts";
import { concat, part, readU16, u16 } from "./octets.ts";

/** An ARP packet for IPv4 over Ethernet (RFC 826): six-octet MACs, four-octet addresses. */
export interface ArpPacket {
  readonly operation: "request" | "reply";
  readonly senderMac: Uint8Array;
  readonly senderAddress: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetAddress: Uint8Array;
}

const ETHERNET = 1;
const IPV4 = 0x0800;
const LENGTH = 28;

/** Reads the payload of an Ethernet frame of type 0x0806; padding behind it is ignored. */
export function decodeArp(bytes: Uint8Array): Decoded<ArpPacket> {
  if (bytes.length < LENGTH) return refused("truncated", "the ARP packet");
  if (readU16(bytes, 0) !== ETHERNET || readU16(bytes, 2) !== IPV4 || bytes[4] !== 6 || bytes[5] !== 4) {
    return refused("unsupported", "ARP for something else than IPv4 over Ethernet");
  }
  const operation = readU16(bytes, 6);
  if (operation !== 1 && operation !== 2) return refused("unsupported", `ARP operation ${operation}`);
  return decoded({
    operation: operation === 1 ? "request" : "reply",
    senderMac: part(bytes, 8, 14),
    senderAddress: part(bytes, 14, 18),
    targetMac: part(bytes, 18, 24),
    targetAddress: part(bytes, 24, 28),
  });
}

/** The 28 octets of an ARP packet. */
export function encodeArp(packet: ArpPacket): Uint8Array {
  return concat(
    u16(ETHERNET),
    u16(IPV4),
    [6, 4],
    u16(packet.operation === "request" ? 1 : 2),
    packet.senderMac,
    packet.senderAddress,
    packet.targetMac,
    packet.targetAddress,
  );
}

/** An ARP announcement: a request for one's own address (RFC 5227 section 2.3), which updates every neighbour's cache. */
export function arpAnnouncement(mac: Uint8Array, address: Uint8Array): ArpPacket {
  return {
    operation: "request",
    senderMac: mac,
    senderAddress: address,
    targetMac: new Uint8Array(6),
    targetAddress: address,
  };
}

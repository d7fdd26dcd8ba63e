import { formatIp, parseIp6 } from "../addresses/ip.ts";
import { type Decoded, decoded, refused } from "./decoded.ts";
import { decodeNames, encodeNames } from "./dns-names.ts";
import { checksum6 } from "./ip6.ts";
import { concat, part, pieces, readU16, readU32, u16, u32 } from "./octets.ts";

/** The IPv6 next header value of ICMPv6. */
export const ICMP6 = 58;

/** Message types of neighbour discovery (RFC 4861 section 4). */
export const icmp6Type = {
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
} as const;

/** A neighbour discovery message. Addresses are RFC 5952 text, lifetimes seconds (0xffffffff: for ever). */
export type NdMessage =
  | { readonly type: "rs"; readonly options: readonly NdOption[] }
  | {
      readonly type: "ra";
      readonly hopLimit: number;
      readonly managed: boolean;
      readonly otherConfig: boolean;
      /** 16 bits; 0: not a default router. */
      readonly routerLifetime: number;
      /** Milliseconds; 0: unspecified. */
      readonly reachableTime: number;
      readonly retransTimer: number;
      readonly options: readonly NdOption[];
    }
  | { readonly type: "ns"; readonly target: string; readonly options: readonly NdOption[] }
  | {
      readonly type: "na";
      readonly router: boolean;
      readonly solicited: boolean;
      readonly override: boolean;
      readonly target: string;
      readonly options: readonly NdOption[];
    };

/** An option of neighbour discovery (RFC 4861 section 4.6, RFC 8106 section 5). */
export type NdOption =
  | { readonly is: "sourceMac" | "targetMac"; readonly mac: Uint8Array }
  | {
      readonly is: "prefix";
      readonly prefix: string;
      readonly prefixLength: number;
      readonly onLink: boolean;
      readonly autonomous: boolean;
      readonly validLifetime: number;
      readonly preferredLifetime: number;
    }
  | { readonly is: "mtu"; readonly mtu: number }
  | { readonly is: "dnsServers"; readonly lifetime: number; readonly addresses: readonly string[] }
  | { readonly is: "dnsSearch"; readonly lifetime: number; readonly names: readonly string[] }
  /** Any other: the octets after type and length, a multiple of eight less two. */
  | { readonly is: "other"; readonly code: number; readonly value: Uint8Array };

const code = { sourceMac: 1, targetMac: 2, prefix: 3, mtu: 5, dnsServers: 25, dnsSearch: 31 } as const;

/**
 * Reads an ICMPv6 packet as a neighbour discovery message; the checksum is {@link checkIcmp6}'s, hop limit and source
 * the receiver's business.
 */
export function decodeNd(bytes: Uint8Array): Decoded<NdMessage> {
  if (bytes.length < 8) return refused("truncated", "the ICMPv6 header");
  const type = bytes[0];
  const fixed = type === icmp6Type.routerSolicitation ? 8 : type === icmp6Type.routerAdvertisement ? 16 : 24;
  if (type === undefined || type < icmp6Type.routerSolicitation || type > icmp6Type.neighbourAdvertisement) {
    return refused("unsupported", `ICMPv6 type ${type}`);
  }
  if (bytes[1] !== 0) return refused("malformed", `ICMPv6 code ${bytes[1]}`);
  if (bytes.length < fixed) return refused("truncated", "the fixed part of the message");
  const read = decodeOptions(bytes.subarray(fixed));
  if (!read.ok) return read;
  const options = read.value;
  const flags = bytes[4] ?? 0;
  const target = formatIp(bytes.subarray(8, 24));
  switch (type) {
    case icmp6Type.routerSolicitation:
      return decoded({ type: "rs", options });
    case icmp6Type.routerAdvertisement:
      return decoded({
        type: "ra",
        hopLimit: flags,
        managed: ((bytes[5] ?? 0) & 0x80) !== 0,
        otherConfig: ((bytes[5] ?? 0) & 0x40) !== 0,
        routerLifetime: readU16(bytes, 6),
        reachableTime: readU32(bytes, 8),
        retransTimer: readU32(bytes, 12),
        options,
      });
    case icmp6Type.neighbourSolicitation:
      return decoded({ type: "ns", target, options });
    default:
      return decoded({
        type: "na",
        router: (flags & 0x80) !== 0,
        solicited: (flags & 0x40) !== 0,
        override: (flags & 0x20) !== 0,
        target,
        options,
      });
  }
}

function decodeOptions(bytes: Uint8Array): Decoded<readonly NdOption[]> {
  const options: NdOption[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = (bytes[at + 1] ?? 0) * 8;
    if (length === 0) return refused("malformed", "an option of length zero");
    if (at + length > bytes.length) return refused("truncated", `option ${bytes[at]}`);
    const option = decodeOption(bytes[at] ?? 0, bytes.subarray(at, at + length));
    if (!option.ok) return option;
    options.push(option.value);
    at += length;
  }
  return decoded(options);
}

/** `bytes` is the whole option, type and length included. */
function decodeOption(type: number, bytes: Uint8Array): Decoded<NdOption> {
  switch (type) {
    case code.sourceMac:
    case code.targetMac:
      if (bytes.length !== 8) break;
      return decoded({ is: type === code.sourceMac ? "sourceMac" : "targetMac", mac: part(bytes, 2, 8) });
    case code.prefix: {
      const prefixLength = bytes[2] ?? 0;
      if (bytes.length !== 32 || prefixLength > 128) break;
      return decoded({
        is: "prefix",
        prefix: formatIp(bytes.subarray(16, 32)),
        prefixLength,
        onLink: ((bytes[3] ?? 0) & 0x80) !== 0,
        autonomous: ((bytes[3] ?? 0) & 0x40) !== 0,
        validLifetime: readU32(bytes, 4),
        preferredLifetime: readU32(bytes, 8),
      });
    }
    case code.mtu:
      if (bytes.length !== 8) break;
      return decoded({ is: "mtu", mtu: readU32(bytes, 4) });
    case code.dnsServers: {
      const addresses = pieces(bytes.subarray(8), 16)?.map(formatIp);
      if (addresses === undefined || addresses.length === 0) break;
      return decoded({ is: "dnsServers", lifetime: readU32(bytes, 4), addresses });
    }
    case code.dnsSearch: {
      const names = decodeNames(bytes.subarray(8), true);
      if (!names.ok) return names;
      return decoded({ is: "dnsSearch", lifetime: readU32(bytes, 4), names: names.value });
    }
    default:
      return decoded({ is: "other", code: type, value: part(bytes, 2) });
  }
  return refused("malformed", `option ${type}`);
}

/** The message's bytes with a checksum of zero: a raw ICMPv6 socket fills it in, else {@link withChecksum} does. */
export function encodeNd(message: NdMessage): Uint8Array {
  const options = message.options.map(encodeOption);
  switch (message.type) {
    case "rs":
      return concat([icmp6Type.routerSolicitation, 0, 0, 0], u32(0), ...options);
    case "ra":
      return concat(
        [icmp6Type.routerAdvertisement, 0, 0, 0, message.hopLimit],
        [(message.managed ? 0x80 : 0) | (message.otherConfig ? 0x40 : 0)],
        u16(message.routerLifetime),
        u32(message.reachableTime),
        u32(message.retransTimer),
        ...options,
      );
    case "ns":
      return concat([icmp6Type.neighbourSolicitation, 0, 0, 0], u32(0), address6(message.target), ...options);
    case "na":
      return concat(
        [icmp6Type.neighbourAdvertisement, 0, 0, 0],
        [(message.router ? 0x80 : 0) | (message.solicited ? 0x40 : 0) | (message.override ? 0x20 : 0), 0, 0, 0],
        address6(message.target),
        ...options,
      );
  }
}

function encodeOption(option: NdOption): Uint8Array {
  switch (option.is) {
    case "sourceMac":
    case "targetMac":
      return tlv(code[option.is], option.mac);
    case "prefix":
      return tlv(
        code.prefix,
        concat(
          [option.prefixLength, (option.onLink ? 0x80 : 0) | (option.autonomous ? 0x40 : 0)],
          u32(option.validLifetime),
          u32(option.preferredLifetime),
          u32(0),
          address6(option.prefix),
        ),
      );
    case "mtu":
      return tlv(code.mtu, concat(u16(0), u32(option.mtu)));
    case "dnsServers":
      return tlv(code.dnsServers, concat(u16(0), u32(option.lifetime), ...option.addresses.map(address6)));
    case "dnsSearch":
      return tlv(code.dnsSearch, concat(u16(0), u32(option.lifetime), encodeNames(option.names)));
    case "other":
      return tlv(option.code, option.value);
  }
}

/** Type, length in units of eight octets, value, zeros up to the unit. */
function tlv(type: number, value: Uint8Array): Uint8Array {
  const units = Math.ceil((value.length + 2) / 8);
  return concat([type, units], value, new Uint8Array(units * 8 - 2 - value.length));
}

function address6(text: string): Uint8Array {
  return parseIp6(text) ?? new Uint8Array(16);
}

/** The packet with its checksum filled in. */
export function withChecksum(packet: Uint8Array, source: Uint8Array, destination: Uint8Array): Uint8Array {
  const blank = concat(packet.subarray(0, 2), [0, 0], packet.subarray(4));
  return concat(blank.subarray(0, 2), u16(checksum6(source, destination, ICMP6, blank)), blank.subarray(4));
}

/** True when the packet's checksum is right. */
export function checkIcmp6(packet: Uint8Array, source: Uint8Array, destination: Uint8Array): boolean {
  return packet.length >= 4 && checksum6(source, destination, ICMP6, packet) === 0;
}

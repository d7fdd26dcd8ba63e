import { formatIp, parseIp6 } from "../addresses/ip.ts";
import { type Decoded, decoded, refused } from "./decoded.ts";
import { decodeNames, encodeName, encodeNames } from "./dns-names.ts";
import { concat, part, pieces, readU16, readU32, u16, u32 } from "./octets.ts";

/** Message types (RFC 8415 section 7.3) that go between a client and a server; relay messages are not read. */
export const messageType6 = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
  reconfigure: 10,
  informationRequest: 11,
} as const;

export type MessageType6 = keyof typeof messageType6;

/** Status codes (RFC 8415 section 21.13). */
export const status6 = {
  success: 0,
  unspecFail: 1,
  noAddrsAvail: 2,
  noBinding: 3,
  notOnLink: 4,
  useMulticast: 5,
  noPrefixAvail: 6,
} as const;

/** A lifetime or time that never ends. */
export const INFINITY6 = 0xffffffff;

/** A client/server message (RFC 8415 section 8). */
export interface Dhcp6Message {
  readonly type: MessageType6;
  /** 24 bits. */
  readonly transactionId: number;
  readonly options: readonly Dhcp6Option[];
}

/** An option (RFC 8415 section 21, RFC 3646). Addresses are RFC 5952 text, times seconds unless said otherwise. */
export type Dhcp6Option =
  | { readonly is: "clientId" | "serverId"; readonly duid: Uint8Array }
  | IaNa
  | IaTa
  | IaPd
  | IaAddr
  | { readonly is: "optionRequest"; readonly codes: readonly number[] }
  | { readonly is: "preference"; readonly value: number }
  | { readonly is: "elapsedTime"; readonly hundredths: number }
  | { readonly is: "status"; readonly code: number; readonly message: string }
  | { readonly is: "rapidCommit" }
  | { readonly is: "dnsServers"; readonly addresses: readonly string[] }
  | { readonly is: "dnsSearch"; readonly names: readonly string[] }
  | ClientFqdn
  | { readonly is: "other"; readonly code: number; readonly value: Uint8Array };

/** Identity association for addresses (section 21.4). */
export interface IaNa {
  readonly is: "iaNa";
  readonly iaid: number;
  readonly t1: number;
  readonly t2: number;
  readonly options: readonly Dhcp6Option[];
}

/** Identity association for temporary addresses (section 21.5). */
export interface IaTa {
  readonly is: "iaTa";
  readonly iaid: number;
  readonly options: readonly Dhcp6Option[];
}

/** Identity association for prefixes (section 21.21). */
export interface IaPd {
  readonly is: "iaPd";
  readonly iaid: number;
  readonly t1: number;
  readonly t2: number;
  readonly options: readonly Dhcp6Option[];
}

/** An address in an association (section 21.6). */
export interface IaAddr {
  readonly is: "iaAddr";
  readonly address: string;
  readonly preferred: number;
  readonly valid: number;
  readonly options: readonly Dhcp6Option[];
}

/**
 * A client's name (RFC 4704 section 4): as asked for by a client, or as told by a server. An empty name asks; one that does
 * not end with a dot is partial, as a host name is.
 */
export interface ClientFqdn {
  readonly is: "clientFqdn";
  /** S, O and N of the flags octet: whether the server updates the DNS, overrides the client's S, updates nothing. */
  readonly updates: boolean;
  readonly overrides: boolean;
  readonly none: boolean;
  readonly name: string;
}

/** Option codes. */
export const option6 = {
  clientId: 1,
  serverId: 2,
  iaNa: 3,
  iaTa: 4,
  iaAddr: 5,
  optionRequest: 6,
  preference: 7,
  elapsedTime: 8,
  status: 13,
  rapidCommit: 14,
  dnsServers: 23,
  dnsSearch: 24,
  iaPd: 25,
  clientFqdn: 39,
} as const;

/** Bits of the flags octet of the client's name. */
const [UPDATES, OVERRIDES, NONE] = [1, 2, 4];

const TYPES: ReadonlyMap<number, MessageType6> = new Map([
  [1, "solicit"],
  [2, "advertise"],
  [3, "request"],
  [4, "confirm"],
  [5, "renew"],
  [6, "rebind"],
  [7, "reply"],
  [8, "release"],
  [9, "decline"],
  [10, "reconfigure"],
  [11, "informationRequest"],
]);

/** IA, address in it, status in that: nothing legitimate nests deeper. */
const DEEPEST = 4;
const LONGEST_DUID = 130;

/** Reads a UDP payload as a client/server message. */
export function decodeDhcp6(bytes: Uint8Array): Decoded<Dhcp6Message> {
  if (bytes.length < 4) return refused("truncated", "the DHCPv6 header");
  const type = TYPES.get(bytes[0] ?? 0);
  if (type === undefined) return refused("unsupported", `DHCPv6 message type ${bytes[0]}`);
  const options = decodeOptions(bytes.subarray(4), 1);
  if (!options.ok) return options;
  return decoded({ type, transactionId: readU32(bytes, 0) & 0xffffff, options: options.value });
}

function decodeOptions(bytes: Uint8Array, depth: number): Decoded<readonly Dhcp6Option[]> {
  if (depth > DEEPEST) return refused("malformed", "options are nested too deep");
  const options: Dhcp6Option[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = at + 4 + readU16(bytes, at + 2);
    if (at + 4 > bytes.length || end > bytes.length) return refused("truncated", `option ${readU16(bytes, at)}`);
    const option = decodeOption(readU16(bytes, at), bytes.subarray(at + 4, end), depth);
    if (!option.ok) return option;
    options.push(option.value);
    at = end;
  }
  return decoded(options);
}

function decodeOption(code: number, value: Uint8Array, depth: number): Decoded<Dhcp6Option> {
  const malformed = refused("malformed", `option ${code}`);
  const { length } = value;
  switch (code) {
    case option6.clientId:
    case option6.serverId:
      if (length < 1 || length > LONGEST_DUID) return malformed;
      return decoded({ is: code === option6.clientId ? "clientId" : "serverId", duid: part(value, 0) });
    case option6.iaNa:
    case option6.iaPd: {
      if (length < 12) return malformed;
      const options = decodeOptions(value.subarray(12), depth + 1);
      if (!options.ok) return options;
      return decoded({
        is: code === option6.iaNa ? "iaNa" : "iaPd",
        iaid: readU32(value, 0),
        t1: readU32(value, 4),
        t2: readU32(value, 8),
        options: options.value,
      });
    }
    case option6.iaTa: {
      if (length < 4) return malformed;
      const options = decodeOptions(value.subarray(4), depth + 1);
      return options.ok ? decoded({ is: "iaTa", iaid: readU32(value, 0), options: options.value }) : options;
    }
    case option6.iaAddr: {
      if (length < 24) return malformed;
      const options = decodeOptions(value.subarray(24), depth + 1);
      if (!options.ok) return options;
      return decoded({
        is: "iaAddr",
        address: formatIp(value.subarray(0, 16)),
        preferred: readU32(value, 16),
        valid: readU32(value, 20),
        options: options.value,
      });
    }
    case option6.optionRequest: {
      const codes = pieces(value, 2)?.map((piece) => readU16(piece, 0));
      return codes === undefined ? malformed : decoded({ is: "optionRequest", codes });
    }
    case option6.preference:
      return length === 1 ? decoded({ is: "preference", value: value[0] ?? 0 }) : malformed;
    case option6.elapsedTime:
      return length === 2 ? decoded({ is: "elapsedTime", hundredths: readU16(value, 0) }) : malformed;
    case option6.status:
      if (length < 2) return malformed;
      return decoded({ is: "status", code: readU16(value, 0), message: new TextDecoder().decode(value.subarray(2)) });
    case option6.rapidCommit:
      return length === 0 ? decoded({ is: "rapidCommit" }) : malformed;
    case option6.dnsServers: {
      const addresses = pieces(value, 16)?.map(formatIp);
      return addresses === undefined ? malformed : decoded({ is: "dnsServers", addresses });
    }
    case option6.dnsSearch: {
      const names = decodeNames(value);
      return names.ok ? decoded({ is: "dnsSearch", names: names.value }) : names;
    }
    case option6.clientFqdn: {
      const flags = value[0];
      if (flags === undefined) return malformed;
      // A partial name has no root at its end.
      const [whole, partial] = [decodeNames(value.subarray(1)), decodeNames(concat(value.subarray(1), [0]))];
      const [fqdn, ...more] = whole.ok ? whole.value.map((name) => `${name}.`) : [];
      const name = length === 1 ? "" : (fqdn ?? (partial.ok ? partial.value[0] : undefined));
      if (name === undefined || more.length > 0) return malformed;
      return decoded({
        is: "clientFqdn",
        updates: (flags & UPDATES) !== 0,
        overrides: (flags & OVERRIDES) !== 0,
        none: (flags & NONE) !== 0,
        name,
      });
    }
    default:
      return decoded({ is: "other", code, value: part(value, 0) });
  }
}

/** The message as a UDP payload. */
export function encodeDhcp6(message: Dhcp6Message): Uint8Array {
  return concat(
    [messageType6[message.type]],
    u32(message.transactionId).slice(1),
    ...message.options.map(encodeOption),
  );
}

function encodeOption(option: Dhcp6Option): Uint8Array {
  switch (option.is) {
    case "clientId":
    case "serverId":
      return tlv(option6[option.is], option.duid);
    case "iaNa":
    case "iaPd":
      return tlv(
        option6[option.is],
        concat(u32(option.iaid), u32(option.t1), u32(option.t2), ...option.options.map(encodeOption)),
      );
    case "iaTa":
      return tlv(option6.iaTa, concat(u32(option.iaid), ...option.options.map(encodeOption)));
    case "iaAddr":
      return tlv(
        option6.iaAddr,
        concat(address6(option.address), u32(option.preferred), u32(option.valid), ...option.options.map(encodeOption)),
      );
    case "optionRequest":
      return tlv(option6.optionRequest, concat(...option.codes.map(u16)));
    case "preference":
      return tlv(option6.preference, Uint8Array.of(option.value));
    case "elapsedTime":
      return tlv(option6.elapsedTime, concat(u16(option.hundredths)));
    case "status":
      return tlv(option6.status, concat(u16(option.code), new TextEncoder().encode(option.message)));
    case "rapidCommit":
      return tlv(option6.rapidCommit, new Uint8Array());
    case "dnsServers":
      return tlv(option6.dnsServers, concat(...option.addresses.map(address6)));
    case "dnsSearch":
      return tlv(option6.dnsSearch, encodeNames(option.names));
    case "clientFqdn": {
      const flags = (option.updates ? UPDATES : 0) | (option.overrides ? OVERRIDES : 0) | (option.none ? NONE : 0);
      const name = encodeName(option.name) ?? new Uint8Array();
      return tlv(option6.clientFqdn, concat([flags], option.name.endsWith(".") ? name : name.slice(0, -1)));
    }
    case "other":
      return tlv(option.code, option.value);
  }
}

function tlv(code: number, value: Uint8Array): Uint8Array {
  return concat(u16(code), u16(value.length), value);
}

function address6(text: string): Uint8Array {
  return parseIp6(text) ?? new Uint8Array(16);
}

/** A DUID of a link-layer address (DUID-LL, RFC 8415 section 11.4) over Ethernet. */
export function duidOf(mac: Uint8Array): Uint8Array {
  return concat(u16(3), u16(1), mac);
}

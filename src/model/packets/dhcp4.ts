import { formatIp, parseIp4 } from "../addresses/ip.ts";
import { type Decoded, decoded, refused } from "./decoded.ts";
import { concat, part, readU16, readU32, u16, u32 } from "./octets.ts";

/** A DHCPv4 message (RFC 2131 section 2). Addresses are dotted text, `0.0.0.0` where unset. */
export interface Dhcp4Message {
  readonly op: "request" | "reply";
  /** ARP hardware type; 1 is Ethernet. */
  readonly htype: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  /** The one flag of the flags field. */
  readonly broadcast: boolean;
  readonly ciaddr: string;
  readonly yiaddr: string;
  readonly siaddr: string;
  readonly giaddr: string;
  /** Client hardware address, `hlen` octets, at most 16. */
  readonly chaddr: Uint8Array;
  /** Server host name, at most 63 characters of Latin-1; empty where the field holds options. */
  readonly sname: string;
  /** Boot file name, at most 127 characters of Latin-1; empty where the field holds options. */
  readonly file: string;
  /** In order of first appearance; an option that came in several parts is one (RFC 3396). */
  readonly options: readonly Dhcp4Option[];
}

export interface Dhcp4Option {
  /** 1 to 254; 52 (overload) belongs to the codec and is never listed. */
  readonly code: number;
  readonly value: Uint8Array;
}

const PAD = 0;
const END = 255;
const OVERLOAD = 52;
const FILE_HOLDS_OPTIONS = 1;
const SNAME_HOLDS_OPTIONS = 2;
const FIXED = 236;
const COOKIE: readonly number[] = [99, 130, 83, 99];
const SNAME = { start: 44, length: 64 } as const;
const FILE = { start: 108, length: 128 } as const;
const LONGEST_PART = 255;
/** Relays and clients drop shorter ones (RFC 1542 section 2.1). */
const SHORTEST_MESSAGE = 300;

/**
 * Reads a UDP payload as a DHCPv4 message, with options in `file` and `sname` (RFC 2132 section 9.3) and long ones
 * (RFC 3396). A missing end option is forgiven. A BOOTP packet, which has no magic cookie, is refused as unsupported.
 */
export function decodeDhcp4(bytes: Uint8Array): Decoded<Dhcp4Message> {
  if (bytes.length < FIXED) return refused("truncated", "the fixed part of the message");
  const op = bytes[0];
  if (op !== 1 && op !== 2) return refused("malformed", `op is ${op}`);
  const hlen = bytes[2] ?? 0;
  if (hlen > 16) return refused("malformed", `hlen is ${hlen}`);
  if (!COOKIE.every((octet, index) => bytes[FIXED + index] === octet)) {
    return refused("unsupported", "BOOTP: there is no DHCP magic cookie");
  }
  const values = new Map<number, Uint8Array[]>();
  const main = collect(bytes.subarray(FIXED + COOKIE.length), values);
  if (main !== undefined) return main;
  const overload = values.get(OVERLOAD)?.[0]?.[0] ?? 0;
  const fileField = bytes.subarray(FILE.start, FILE.start + FILE.length);
  const snameField = bytes.subarray(SNAME.start, SNAME.start + SNAME.length);
  const inFile = (overload & FILE_HOLDS_OPTIONS) !== 0;
  const inSname = (overload & SNAME_HOLDS_OPTIONS) !== 0;
  const wrong =
    (inFile ? collect(fileField, values) : undefined) ?? (inSname ? collect(snameField, values) : undefined);
  if (wrong !== undefined) return wrong;
  values.delete(OVERLOAD);
  const address = (at: number): string => formatIp(bytes.subarray(at, at + 4));
  return decoded({
    op: op === 1 ? "request" : "reply",
    htype: bytes[1] ?? 0,
    hops: bytes[3] ?? 0,
    xid: readU32(bytes, 4),
    secs: readU16(bytes, 8),
    broadcast: (readU16(bytes, 10) & 0x8000) !== 0,
    ciaddr: address(12),
    yiaddr: address(16),
    siaddr: address(20),
    giaddr: address(24),
    chaddr: part(bytes, 28, 28 + hlen),
    sname: inSname ? "" : text(snameField),
    file: inFile ? "" : text(fileField),
    options: Array.from(values, ([code, parts]) => ({ code, value: concat(...parts) })),
  });
}

/** Adds the options of one field; undefined when all went well. */
function collect(field: Uint8Array, values: Map<number, Uint8Array[]>): Decoded<never> | undefined {
  let at = 0;
  while (at < field.length) {
    const code = field[at] ?? END;
    if (code === END) return undefined;
    if (code === PAD) {
      at += 1;
      continue;
    }
    const length = field[at + 1];
    if (length === undefined || at + 2 + length > field.length) return refused("truncated", `option ${code}`);
    const value = part(field, at + 2, at + 2 + length);
    const earlier = values.get(code);
    if (earlier === undefined) values.set(code, [value]);
    else earlier.push(value);
    at += 2 + length;
  }
  return undefined;
}

/** A message's bytes, and the codes of options that had no room. */
export interface EncodedDhcp4 {
  readonly bytes: Uint8Array;
  readonly dropped: readonly number[];
}

/**
 * Writes a message of at most `limit` octets (UDP payload; at least 300 are always allowed).
 *
 * Options come in the given order. Where they do not fit, the `file` and `sname` fields take some if those are empty
 * (option 52); what finds no room then is left out whole: put what matters first. Values above 255 octets are sent in
 * parts (RFC 3396). Text that is too long for `sname` or `file` is not sent in that field.
 */
export function encodeDhcp4(message: Dhcp4Message, limit = Number.POSITIVE_INFINITY): EncodedDhcp4 {
  const room = Math.max(limit, SHORTEST_MESSAGE) - FIXED - COOKIE.length;
  const sname = latin1(message.sname, SNAME.length);
  const file = latin1(message.file, FILE.length);
  const options = message.options.filter(({ code }) => code > PAD && code < END && code !== OVERLOAD);
  const plain = place(options, [room]);
  const overload =
    plain.dropped.length === 0
      ? 0
      : (file.length === 0 ? FILE_HOLDS_OPTIONS : 0) | (sname.length === 0 ? SNAME_HOLDS_OPTIONS : 0);
  const placed =
    overload === 0
      ? plain
      : place(options, [
          room - 3,
          (overload & FILE_HOLDS_OPTIONS) !== 0 ? FILE.length : 0,
          (overload & SNAME_HOLDS_OPTIONS) !== 0 ? SNAME.length : 0,
        ]);
  const [inOptions = [], inFile = [], inSname = []] = placed.fields;
  const chaddr = message.chaddr.subarray(0, 16);
  const bytes = concat(
    [message.op === "request" ? 1 : 2, message.htype & 0xff, chaddr.length, message.hops & 0xff],
    u32(message.xid),
    u16(message.secs),
    u16(message.broadcast ? 0x8000 : 0),
    ...[message.ciaddr, message.yiaddr, message.siaddr, message.giaddr].map((text) => parseIp4(text) ?? [0, 0, 0, 0]),
    filled(chaddr, 16),
    filled((overload & SNAME_HOLDS_OPTIONS) !== 0 ? concat(...inSname, [END]) : sname, SNAME.length),
    filled((overload & FILE_HOLDS_OPTIONS) !== 0 ? concat(...inFile, [END]) : file, FILE.length),
    COOKIE,
    overload === 0 ? [] : [OVERLOAD, 1, overload],
    ...inOptions,
    [END],
  );
  return { bytes: bytes.length < SHORTEST_MESSAGE ? filled(bytes, SHORTEST_MESSAGE) : bytes, dropped: placed.dropped };
}

/** Puts each option into the first field with room for it and the end option; parts of one never go backwards. */
function place(
  options: readonly Dhcp4Option[],
  rooms: readonly number[],
): { readonly fields: readonly Uint8Array[][]; readonly dropped: readonly number[] } {
  const fields = rooms.map((): Uint8Array[] => []);
  const left = rooms.map((room) => room - 1);
  const dropped: number[] = [];
  for (const option of options) {
    const free = [...left];
    const chosen: { readonly field: number; readonly bytes: Uint8Array }[] = [];
    let from = 0;
    for (const bytes of parts(option)) {
      const field = free.findIndex((space, index) => index >= from && space >= bytes.length);
      if (field < 0) break;
      free[field] = (free[field] ?? 0) - bytes.length;
      chosen.push({ field, bytes });
      from = field;
    }
    if (chosen.length < parts(option).length) {
      dropped.push(option.code);
      continue;
    }
    left.splice(0, left.length, ...free);
    for (const { field, bytes } of chosen) fields[field]?.push(bytes);
  }
  return { fields, dropped };
}

/** An option as it is sent: code, length, value, once for each 255 octets. */
function parts({ code, value }: Dhcp4Option): readonly Uint8Array[] {
  const count = Math.max(1, Math.ceil(value.length / LONGEST_PART));
  return Array.from({ length: count }, (_, index) => {
    const piece = value.subarray(index * LONGEST_PART, (index + 1) * LONGEST_PART);
    return concat([code, piece.length], piece);
  });
}

function filled(bytes: Uint8Array, length: number): Uint8Array {
  const field = new Uint8Array(length);
  field.set(bytes.subarray(0, length));
  return field;
}

/** Empty where the text has no room with its final zero, or holds what the field cannot. */
function latin1(value: string, length: number): Uint8Array {
  const codes = Array.from(value, (character) => character.codePointAt(0) ?? 0);
  const sound = codes.length < length && codes.every((code) => code > 0 && code < 256);
  return sound ? Uint8Array.from(codes) : new Uint8Array();
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return String.fromCharCode(...(end < 0 ? field : field.subarray(0, end)));
}

/**
 * The message format of netlink(7): a header of 16 octets, a payload of fixed size, attributes; all in host order, each
 * padded to four octets. Little endian, as every machine that Patchbay runs on.
 */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Uint8Array;
}

/** One attribute; nested ones carry encoded attributes as their value. */
export interface Attribute {
  /** Without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
  readonly type: number;
  readonly value: Uint8Array;
}

const HEADER = 16;
const ATTRIBUTE_HEADER = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const align = (length: number): number => (length + 3) & ~3;
const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** One message after another, each padded, as one datagram. */
export function encodeMessages(messages: readonly NetlinkMessage[]): Uint8Array {
  const bytes = new Uint8Array(messages.reduce((sum, { payload }) => sum + align(HEADER + payload.length), 0));
  const data = view(bytes);
  let offset = 0;
  for (const message of messages) {
    data.setUint32(offset, HEADER + message.payload.length, true);
    data.setUint16(offset + 4, message.type, true);
    data.setUint16(offset + 6, message.flags, true);
    data.setUint32(offset + 8, message.sequence, true);
    data.setUint32(offset + 12, message.portId, true);
    bytes.set(message.payload, offset + HEADER);
    offset += align(HEADER + message.payload.length);
  }
  return bytes;
}

/** The messages of one datagram; a truncated last one is left out. Payloads share the memory of `bytes`. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const data = view(bytes);
  const messages: NetlinkMessage[] = [];
  let offset = 0;
  while (offset + HEADER <= bytes.length) {
    const length = data.getUint32(offset, true);
    if (length < HEADER || offset + length > bytes.length) break;
    messages.push({
      type: data.getUint16(offset + 4, true),
      flags: data.getUint16(offset + 6, true),
      sequence: data.getUint32(offset + 8, true),
      portId: data.getUint32(offset + 12, true),
      payload: bytes.subarray(offset + HEADER, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** `head` (a struct such as ifinfomsg, padded here) followed by attributes: the payload of a message. */
export function encodePayload(head: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const start = align(head.length);
  const bytes = new Uint8Array(
    attributes.reduce((sum, { value }) => sum + align(ATTRIBUTE_HEADER + value.length), start),
  );
  bytes.set(head);
  const data = view(bytes);
  let offset = start;
  for (const { type, value } of attributes) {
    data.setUint16(offset, ATTRIBUTE_HEADER + value.length, true);
    data.setUint16(offset + 2, type, true);
    bytes.set(value, offset + ATTRIBUTE_HEADER);
    offset += align(ATTRIBUTE_HEADER + value.length);
  }
  return bytes;
}

/** The attributes from `start` on; a truncated last one is left out. Values share the memory of `bytes`. */
export function decodeAttributes(bytes: Uint8Array, start = 0): Attribute[] {
  const data = view(bytes);
  const attributes: Attribute[] = [];
  let offset = start;
  while (offset + ATTRIBUTE_HEADER <= bytes.length) {
    const length = data.getUint16(offset, true);
    if (length < ATTRIBUTE_HEADER || offset + length > bytes.length) break;
    attributes.push({
      type: data.getUint16(offset + 2, true) & NLA_TYPE_MASK,
      value: bytes.subarray(offset + ATTRIBUTE_HEADER, offset + length),
    });
    offset += align(length);
  }
  return attributes;
}

/** A 32-bit attribute. */
export function u32(type: number, value: number): Attribute {
  const bytes = new Uint8Array(4);
  view(bytes).setUint32(0, value, true);
  return { type, value: bytes };
}

/** A zero-terminated string. */
export function text(type: number, value: string): Attribute {
  return { type, value: new TextEncoder().encode(`${value}\0`) };
}

/** An attribute made of attributes. */
export function nested(type: number, attributes: readonly Attribute[]): Attribute {
  return { type: type | NLA_F_NESTED, value: encodePayload(new Uint8Array(0), attributes) };
}

/** The 32-bit value of an attribute; undefined where it is shorter. */
export function asU32(value: Uint8Array | undefined): number | undefined {
  return value === undefined || value.length < 4 ? undefined : view(value).getUint32(0, true);
}

/** The text of an attribute up to its first zero octet. */
export function asText(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
}

/** Attributes by type; of several of one type the last, as the kernel reads them. */
export function byType(attributes: readonly Attribute[]): ReadonlyMap<number, Uint8Array> {
  return new Map(attributes.map(({ type, value }) => [type, value]));
}

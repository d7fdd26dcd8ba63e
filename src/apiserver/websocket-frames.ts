/** One frame that a client sent (RFC 6455 §5.2), unmasked. */
export interface Frame {
  readonly opcode: Opcode;
  /** False where the message goes on in a continuation frame. */
  readonly final: boolean;
  readonly payload: Uint8Array;
}

/** The opcodes that RFC 6455 §11.8 registers. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
export type Opcode = (typeof opcodes)[keyof typeof opcodes];

/** Why a connection is closed (RFC 6455 §7.4.1). */
export const closeCodes = { normal: 1000, goingAway: 1001, protocolError: 1002, tooBig: 1009, failed: 1011 } as const;
export type CloseCode = (typeof closeCodes)[keyof typeof closeCodes];

/** What a client did that ends the connection. */
export interface Breach {
  readonly code: CloseCode;
  readonly reason: string;
}

/** A frame's largest payload; a console needs far less. */
export const LARGEST_PAYLOAD = 1024 * 1024;
/** A control frame's (RFC 6455 §5.5). */
const LARGEST_CONTROL = 125;
const KNOWN: ReadonlySet<number> = new Set(Object.values(opcodes));

/** Reads a client's bytes as they come. After a breach it reads no more. Never throws. */
export interface FrameDecoder {
  push(bytes: Uint8Array): { readonly frames: readonly Frame[]; readonly breach?: Breach };
}

export function frameDecoder(): FrameDecoder {
  let pending: Uint8Array = new Uint8Array(0);
  let inMessage = false;
  let breach: Breach | undefined;

  function fault(reason: string, code: CloseCode = closeCodes.protocolError): undefined {
    breach = { code, reason };
    return undefined;
  }

  /** The next whole frame; undefined where more bytes are needed, or after a breach. */
  function next(): Frame | undefined {
    if (pending.length < 2) return undefined;
    const view = new DataView(pending.buffer, pending.byteOffset, pending.length);
    const [first, second] = [view.getUint8(0), view.getUint8(1)];
    const opcode = (first & 0x0f) as Opcode;
    const final = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0) return fault("a reserved bit is set, and no extension was agreed on");
    if (!KNOWN.has(opcode)) return fault(`opcode ${opcode} is not known`);
    if ((second & 0x80) === 0) return fault("a client's frame must be masked");
    const control = opcode >= opcodes.close;
    if (control && !final) return fault("a control frame cannot be fragmented");
    if (!control && (opcode === opcodes.continuation) !== inMessage) {
      return fault(inMessage ? "a message began within another" : "a continuation without a message");
    }
    const short = second & 0x7f;
    if (control && short > LARGEST_CONTROL) return fault("a control frame is too long");
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const head = 2 + lengthBytes + 4;
    if (pending.length < 2 + lengthBytes) return undefined;
    const length = lengthBytes === 0 ? short : lengthBytes === 2 ? view.getUint16(2) : Number(view.getBigUint64(2));
    if (length > LARGEST_PAYLOAD) return fault(`a frame is longer than ${LARGEST_PAYLOAD} bytes`, closeCodes.tooBig);
    if (pending.length < head + length) return undefined;
    const mask = pending.subarray(head - 4, head);
    const payload = pending.slice(head, head + length);
    for (let index = 0; index < length; index += 1) payload[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
    pending = pending.subarray(head + length);
    if (!control) inMessage = !final;
    return { opcode, final, payload };
  }

  return {
    push(bytes) {
      const frames: Frame[] = [];
      if (breach !== undefined) return { frames, breach };
      const joined = new Uint8Array(pending.length + bytes.length);
      joined.set(pending);
      joined.set(bytes, pending.length);
      pending = joined;
      for (let frame = next(); frame !== undefined; frame = next()) frames.push(frame);
      return breach === undefined ? { frames } : { frames, breach };
    },
  };
}

/** A server's frame: whole, and not masked. */
export function encodeFrame(opcode: Opcode, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const lengthBytes = length < 126 ? 0 : length < 0x1_0000 ? 2 : 8;
  const frame = new Uint8Array(2 + lengthBytes + length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, 0x80 | opcode);
  view.setUint8(1, lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) view.setUint16(2, length);
  if (lengthBytes === 8) view.setBigUint64(2, BigInt(length));
  frame.set(payload, 2 + lengthBytes);
  return frame;
}

/** A close frame's payload: the code, and a reason cut to what a control frame holds. */
export function closePayload(code: CloseCode, reason: string): Uint8Array {
  const words = new TextEncoder().encode(reason).subarray(0, LARGEST_CONTROL - 2);
  const payload = new Uint8Array(2 + words.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(words, 2);
  return payload;
}

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  closeCodes,
  closePayload,
  encodeFrame,
  type Frame,
  frameDecoder,
  LARGEST_PAYLOAD,
  opcodes,
} from "./websocket-frames.ts";

/** A server's frame as a client would send it: masked. */
function masked(frame: Uint8Array, mask: readonly number[] = [1, 2, 3, 4]): Uint8Array {
  const short = (frame[1] ?? 0) & 0x7f;
  const head = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  const payload = frame.slice(head).map((octet, index) => octet ^ (mask[index & 3] ?? 0));
  const start = frame.slice(0, head);
  start[1] = (start[1] ?? 0) | 0x80;
  return Buffer.concat([start, Uint8Array.from(mask), payload]);
}

function decode(...chunks: readonly Uint8Array[]) {
  const decoder = frameDecoder();
  const frames: Frame[] = [];
  let breach: ReturnType<typeof decoder.push>["breach"];
  for (const chunk of chunks) {
    const read = decoder.push(chunk);
    frames.push(...read.frames);
    breach = read.breach;
  }
  return { frames, breach };
}

test("the example of RFC 6455 §5.7 is read", () => {
  const hello = Uint8Array.of(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58);
  const { frames } = decode(hello);
  assert.equal(new TextDecoder().decode(frames[0]?.payload), "Hello");
  assert.deepEqual(
    [...encodeFrame(opcodes.text, new TextEncoder().encode("Hello"))],
    [0x81, 5, 72, 101, 108, 108, 111],
  );
});

test("whatever a client sends is read, however the bytes are cut", () => {
  const payloads = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.integer({ min: 65_530, max: 65_540 }).map((length) => new Uint8Array(length).fill(length)),
  );
  fc.assert(
    fc.property(fc.array(payloads, { maxLength: 4 }), fc.array(fc.nat(400), { maxLength: 20 }), (all, cuts) => {
      const bytes = Buffer.concat(all.map((payload) => masked(encodeFrame(opcodes.binary, payload))));
      const chunks: Uint8Array[] = [];
      let from = 0;
      for (const size of cuts) {
        chunks.push(bytes.subarray(from, from + size));
        from = Math.min(from + size, bytes.length);
      }
      const { frames, breach } = decode(...chunks, bytes.subarray(from));
      assert.equal(breach, undefined);
      assert.deepEqual(
        frames.map(({ payload }) => Buffer.from(payload)),
        all.map((payload) => Buffer.from(payload)),
      );
    }),
    { numRuns: 50 },
  );
});

test("any bytes are read without a throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void decode(bytes)));
});

test("what breaks the protocol ends it", () => {
  const cases: readonly [string, Uint8Array, number][] = [
    ["unmasked", encodeFrame(opcodes.binary, new Uint8Array(3)), closeCodes.protocolError],
    ["a reserved bit", Uint8Array.of(0xc2, 0x80, 0, 0, 0, 0), closeCodes.protocolError],
    ["an unknown opcode", Uint8Array.of(0x83, 0x80, 0, 0, 0, 0), closeCodes.protocolError],
    ["a fragmented ping", Uint8Array.of(0x09, 0x80, 0, 0, 0, 0), closeCodes.protocolError],
    ["a long ping", Uint8Array.of(0x89, 0xfe, 0, 200, 0, 0, 0, 0), closeCodes.protocolError],
    ["a stray continuation", Uint8Array.of(0x80, 0x80, 0, 0, 0, 0), closeCodes.protocolError],
    ["two messages in one", Uint8Array.of(0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0), closeCodes.protocolError],
    ["a giant", Uint8Array.of(0x82, 0xff, 0, 0, 0, 0, 0xff, 0, 0, 0), closeCodes.tooBig],
  ];
  for (const [name, bytes, code] of cases) assert.equal(decode(bytes).breach?.code, code, name);
  assert.equal(decode(masked(encodeFrame(opcodes.binary, new Uint8Array(LARGEST_PAYLOAD)))).breach, undefined);
});

test("fragments are read with a ping between them", () => {
  const ping = masked(encodeFrame(opcodes.ping, Uint8Array.of(7)));
  const { frames, breach } = decode(
    Uint8Array.of(0x02, 0x81, 0, 0, 0, 0, 65),
    ping,
    Uint8Array.of(0x80, 0x81, 0, 0, 0, 0, 66),
  );
  assert.equal(breach, undefined);
  assert.deepEqual(
    frames.map(({ opcode, payload }) => [opcode, ...payload]),
    [
      [2, 65],
      [9, 7],
      [0, 66],
    ],
  );
});

test("a reason is cut to what a close frame holds", () => {
  assert.equal(closePayload(closeCodes.failed, "x".repeat(500)).length, 125);
});

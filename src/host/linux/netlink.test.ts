import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Attribute,
  asText,
  asU32,
  byType,
  decodeAttributes,
  decodeMessages,
  encodeMessages,
  encodePayload,
  type NetlinkMessage,
  nested,
  text,
  u32,
} from "./netlink.ts";

const u16 = fc.integer({ min: 0, max: 0xffff });
const word = fc.integer({ min: 0, max: 0xffffffff });
const message: fc.Arbitrary<NetlinkMessage> = fc.record(
  { type: u16, flags: u16, sequence: word, portId: word, payload: fc.uint8Array({ maxLength: 70 }) },
  { noNullPrototype: true },
);
const attribute: fc.Arbitrary<Attribute> = fc.record(
  { type: fc.integer({ min: 0, max: 0x3fff }), value: fc.uint8Array({ maxLength: 40 }) },
  { noNullPrototype: true },
);

test("messages come back as they were written", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      assert.deepEqual(decodeMessages(encodeMessages(messages)), messages);
    }),
  );
});

test("attributes come back as they were written, behind a head of any length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.array(attribute, { maxLength: 8 }), (head, attributes) => {
      const payload = encodePayload(head, attributes);
      assert.equal(payload.length % 4, 0);
      assert.deepEqual(payload.subarray(0, head.length), head);
      assert.deepEqual(decodeAttributes(payload, (head.length + 3) & ~3), attributes);
    }),
  );
});

test("any octets are read without an error, and nothing is read beyond them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const read = decodeMessages(bytes).reduce((sum, { payload }) => sum + 16 + payload.length, 0);
      assert.ok(read <= bytes.length);
      const values = decodeAttributes(bytes).reduce((sum, { value }) => sum + 4 + value.length, 0);
      assert.ok(values <= bytes.length);
    }),
  );
});

test("a truncated datagram gives the messages that are whole", () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 16 }), (messages, cut) => {
      const whole = encodeMessages([
        ...messages,
        { type: 1, flags: 0, sequence: 0, portId: 0, payload: new Uint8Array(0) },
      ]);
      assert.deepEqual(decodeMessages(whole.subarray(0, whole.length - cut)), messages);
    }),
  );
});

test("numbers, strings and nests", () => {
  const inner = [u32(1, 0xdeadbeef), text(2, "tap0")];
  const outer = decodeAttributes(encodePayload(new Uint8Array(0), [nested(18, inner)]));
  assert.equal(outer[0]?.type, 18);
  const read = byType(decodeAttributes(outer[0]?.value ?? new Uint8Array(0)));
  assert.equal(asU32(read.get(1)), 0xdeadbeef);
  assert.equal(asText(read.get(2)), "tap0");
  assert.equal(asU32(new Uint8Array(3)), undefined);
  assert.equal(asText(undefined), undefined);
});

test("the octets of RTM_NEWADDR 10.0.2.1/24 on link 7 are those that ip(8) sends", () => {
  const payload = encodePayload(Uint8Array.of(2, 24, 0, 0, 7, 0, 0, 0), [
    { type: 2, value: Uint8Array.of(10, 0, 2, 1) },
    { type: 1, value: Uint8Array.of(10, 0, 2, 1) },
  ]);
  const bytes = encodeMessages([{ type: 20, flags: 0x605, sequence: 1, portId: 0, payload }]);
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    "28000000140005060100000000000000" + "0218000007000000" + "080002000a000201" + "080001000a000201",
  );
});

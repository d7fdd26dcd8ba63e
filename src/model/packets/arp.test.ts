import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arpAnnouncement, decodeArp, encodeArp } from "./arp.ts";
import { BROADCAST_MAC, decodeEthernet, encodeEthernet, etherType, multicastMac } from "./ethernet.ts";

const octets = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const packets = fc.record(
  {
    operation: fc.constantFrom("request" as const, "reply" as const),
    senderMac: octets(6),
    senderAddress: octets(4),
    targetMac: octets(6),
    targetAddress: octets(4),
  },
  { noNullPrototype: true },
);

test("a packet survives its bytes, in a padded frame too", () => {
  fc.assert(
    fc.property(packets, octets(6), fc.nat(18), (packet, source, padding) => {
      const payload = new Uint8Array(28 + padding);
      payload.set(encodeArp(packet));
      const frame = { destination: BROADCAST_MAC, source, type: etherType.arp, payload };
      const carried = decodeEthernet(encodeEthernet(frame));
      assert.deepEqual(carried, { ok: true, value: frame });
      assert.deepEqual(decodeArp(payload), { ok: true, value: packet });
    }),
  );
});

test("any bytes are read or refused", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => typeof decodeArp(bytes).ok === "boolean"));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => typeof decodeEthernet(bytes).ok === "boolean"));
});

test("an announcement of 10.0.2.2", () => {
  const bytes = encodeArp(arpAnnouncement(Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(10, 0, 2, 2)));
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    "0001080006040001020000000001" + "0a000202" + "000000000000" + "0a000202",
  );
});

test("the group MAC of ff02::1", () => {
  const address = new Uint8Array(16).with(0, 0xff).with(1, 2).with(15, 1);
  assert.equal(Buffer.from(multicastMac(address)).toString("hex"), "333300000001");
});

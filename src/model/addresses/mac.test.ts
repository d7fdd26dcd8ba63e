import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatIp } from "./ip.ts";
import { canonicalMac, formatMac, isGroupMac, linkLocalOf, parseHardwareAddress, parseMac } from "./mac.ts";

test("an Ethernet address survives its three forms, in either case", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), fc.boolean(), (bytes, upper) => {
      const colons = formatMac(bytes);
      const dotted = colons.replaceAll(":", "").replace(/(....)(....)(....)/, "$1.$2.$3");
      for (const form of [colons, colons.replaceAll(":", "-"), dotted]) {
        assert.deepEqual(parseMac(upper ? form.toUpperCase() : form), bytes);
      }
      assert.equal(canonicalMac(colons.toUpperCase()), colons);
    }),
  );
});

test("any text is parsed or refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "0", ":", "-", ".", "Z"), maxLength: 24 }), (text) => {
      const bytes = parseHardwareAddress(text);
      assert.ok(bytes === undefined || [6, 8, 20].includes(bytes.length));
    }),
  );
});

test("the longer forms are hardware addresses but no Ethernet addresses", () => {
  assert.equal(parseHardwareAddress("02:00:5e:10:00:00:00:01")?.length, 8);
  assert.equal(parseHardwareAddress("0200.5e10.0000.0001")?.length, 8);
  assert.equal(parseHardwareAddress(Array.from({ length: 20 }, () => "fe").join("-"))?.length, 20);
  assert.equal(parseMac("02:00:5e:10:00:00:00:01"), undefined);
});

test("malformed addresses are refused", () => {
  for (const text of [
    "",
    "de:ad:00:00:be",
    "de:ad:00:00:be:af:",
    "de:ad-00:00:be:af",
    "d:ad:00:00:be:af",
    "dead:0000:beaf",
    "de:ad:00:00:be:ag",
    "dead.0000.beaf.",
    "dead00beaf00",
    "de ad 00 00 be af",
  ]) {
    assert.equal(parseMac(text), undefined, text);
  }
});

test("link-local address and group bit", () => {
  assert.equal(formatIp(linkLocalOf(Uint8Array.of(0x02, 0, 0, 0, 0, 1))), "fe80::ff:fe00:1");
  assert.equal(formatIp(linkLocalOf(Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56))), "fe80::5054:ff:fe12:3456");
  assert.ok(isGroupMac(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
  assert.ok(!isGroupMac(Uint8Array.of(0x02, 0, 0, 0, 0, 0)));
});

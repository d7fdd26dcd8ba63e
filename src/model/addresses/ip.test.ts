import assert from "node:assert/strict";
import { isIP, isIPv4, isIPv6, SocketAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalIp, familyOf, formatIp, isLinkLocal, parseIp, parseIp4, parseIp6 } from "./ip.ts";

test("IPv4 and IPv6 octets survive text", () => {
  for (const length of [4, 16]) {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: length, maxLength: length }), (bytes) => {
        assert.deepEqual(parseIp(formatIp(bytes)), bytes);
      }),
    );
  }
});

test("IPv6 text with runs of zeros is what the C library's inet_ntop writes", () => {
  const word = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(0xffff) });
  fc.assert(
    fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), (words) => {
      const long = words.map((value) => value.toString(16)).join(":");
      const bytes = parseIp6(long);
      assert.ok(bytes !== undefined);
      const text = formatIp(bytes);
      assert.deepEqual(parseIp6(text), bytes);
      // Node's own formatter differs only for the deprecated IPv4-compatible addresses, ::a.b.c.d.
      if (words.slice(0, 6).some((value) => value !== 0)) {
        assert.equal(text, new SocketAddress({ family: "ipv6", address: long }).address);
      }
    }),
  );
});

test("parsing accepts what Node's own check accepts, without zones", () => {
  const text = fc.string({
    unit: fc.constantFrom("0", "1", "f", ":", ":", ".", "255", "12", "g", "/", "%", " "),
    maxLength: 16,
  });
  fc.assert(
    fc.property(text, (candidate) => {
      const zoned = candidate.includes("%");
      assert.equal(parseIp4(candidate) !== undefined, isIPv4(candidate));
      assert.equal(parseIp6(candidate) !== undefined, isIPv6(candidate) && !zoned);
      assert.equal(familyOf(candidate) ?? 0, zoned ? 0 : isIP(candidate));
    }),
    { numRuns: 5000 },
  );
});

test("canonical spellings of RFC 5952", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["2001:db8::0:1", "2001:db8::1"],
    ["2001:0DB8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:c000:0221", "::ffff:192.0.2.33"],
    ["FD10:0:2::2", "fd10:0:2::2"],
    ["::", "::"],
    ["1::", "1::"],
    ["10.0.2.2", "10.0.2.2"],
  ];
  for (const [given, expected] of cases) assert.equal(canonicalIp(given), expected);
});

test("malformed addresses are refused", () => {
  for (const text of [
    "",
    "1",
    "10.10",
    "1.2.3.04",
    "1.2.3.256",
    "1.2.3.4.5",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8::",
    "fe80::1%eth0",
    "::12345",
    "1.2.3.4::",
    "[::1]",
    "::1 ",
  ]) {
    assert.equal(parseIp(text), undefined, text);
  }
});

test("link-local addresses of both families", () => {
  for (const text of ["fe80::1", "febf::1", "169.254.0.1", "169.254.255.254"])
    assert.equal(isLinkLocal(text), true, text);
  for (const text of ["fec0::1", "fd00::1", "::", "169.253.0.1", "10.169.254.1", "", "fe80"]) {
    assert.equal(isLinkLocal(text), false, text);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalDomain, decodeNames, encodeName, encodeNames } from "./dns-names.ts";
import { concat } from "./octets.ts";

const label = fc.stringMatching(/^[a-z0-9_](?:[a-z0-9_-]{0,20}[a-z0-9_])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 8 }).map((labels) => labels.join("."));

test("names survive their bytes, padded or not", () => {
  fc.assert(
    fc.property(fc.array(name, { maxLength: 5 }), fc.nat(7), (names, padding) => {
      assert.deepEqual(decodeNames(encodeNames(names)), { ok: true, value: names });
      const padded = concat(encodeNames(names), new Uint8Array(padding));
      assert.deepEqual(decodeNames(padded, true), { ok: true, value: names });
    }),
  );
});

test("any bytes are read or refused, and what is read can be written again", () => {
  const near = fc.array(fc.constantFrom(0, 1, 2, 3, 63, 64, 0xc0, 0x61, 0x2e), { maxLength: 300 });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        near.map((octets) => Uint8Array.from(octets)),
      ),
      (bytes) => {
        const names = decodeNames(bytes);
        if (names.ok) assert.equal(encodeNames(names.value).length, bytes.length);
      },
    ),
    { numRuns: 2000 },
  );
});

test("what is no domain name has no spelling", () => {
  assert.equal(canonicalDomain("Cluster.Local."), "cluster.local");
  assert.equal(canonicalDomain("_tcp.a_b.example"), "_tcp.a_b.example");
  const long = Array.from({ length: 32 }, () => "abcdefg").join(".");
  for (const bad of ["", ".", "a..b", "-a.b", "a-.b", "a b", "bücher.example", "x".repeat(64), long]) {
    assert.equal(canonicalDomain(bad), undefined, bad);
    assert.equal(encodeName(bad), undefined, bad);
  }
});

test("the longest name", () => {
  const longest = `${Array.from({ length: 3 }, () => "x".repeat(63)).join(".")}.${"y".repeat(61)}`;
  assert.equal(longest.length, 253);
  assert.equal(encodeName(longest)?.length, 255);
  assert.equal(encodeName(`${longest}y`), undefined);
});

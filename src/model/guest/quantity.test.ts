import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseQuantity } from "./quantity.ts";

test("the forms that manifests use", () => {
  const cases: [string, bigint | undefined][] = [
    ["64Mi", 67108864n],
    ["64M", 64000000n],
    ["1024M", 1024000000n],
    ["4Gi", 4294967296n],
    ["1.5G", 1500000000n],
    ["1.5Gi", 1610612736n],
    ["500m", 1n],
    ["1500m", 2n],
    ["0", 0n],
    ["0m", 0n],
    ["+5", 5n],
    ["-5", -5n],
    ["-1500m", -2n],
    [".5Ki", 512n],
    ["1.", 1n],
    ["1e3", 1000n],
    ["1E3", 1000n],
    ["12E-1", 2n],
    ["1E", 1000000000000000000n],
    ["100n", 1n],
    ["1e999999999", 9223372036854775807n],
    ["1e-999999999", 1n],
    ["0e999999999", 0n],
    ["99Ei", 9223372036854775807n],
  ];
  for (const [text, value] of cases) assert.equal(parseQuantity(text), value, text);
});

test("what is no quantity", () => {
  for (const text of [
    "",
    " ",
    "Mi",
    "64MB",
    "64mi",
    "64 Mi",
    "1.2.3",
    "1e",
    "0x10",
    "1K",
    "1e3Mi",
    "--1",
    "NaN",
    "1,5G",
    ".",
  ]) {
    assert.equal(parseQuantity(text), undefined, text);
  }
});

test("a binary suffix is a shift, a decimal one a power of ten", () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 1_000_000 }),
      fc.constantFrom("Ki", "Mi", "Gi"),
      fc.constantFrom("k", "M", "G"),
      (n, bi, de) => {
        const steps = BigInt(["Ki", "Mi", "Gi"].indexOf(bi) + 1);
        assert.equal(parseQuantity(`${n}${bi}`), BigInt(n) << (10n * steps));
        const tens = BigInt(["k", "M", "G"].indexOf(de) + 1);
        assert.equal(parseQuantity(`${n}${de}`), BigInt(n) * 1000n ** tens);
      },
    ),
  );
});

test("rounding goes up by less than one", () => {
  fc.assert(
    fc.property(fc.nat({ max: 10 ** 9 }), (milli) => {
      const value = parseQuantity(`${milli}m`);
      assert.ok(value !== undefined);
      const excess = value * 1000n - BigInt(milli);
      assert.ok(excess >= 0n && excess < 1000n);
    }),
  );
});

test("no text makes it throw", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseQuantity(text)));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Allowance } from "./allowance.ts";

test("a burst passes, then one is told and the rest are not", () => {
  const allowance = new Allowance(3, 10);
  assert.deepEqual(
    Array.from({ length: 6 }, () => allowance.take(0)),
    ["yes", "yes", "yes", "tell", "no", "no"],
  );
  assert.equal(allowance.take(100), "yes");
  assert.equal(allowance.take(100), "no");
});

test("it is told again after a quiet time", () => {
  const allowance = new Allowance(4, 10);
  const exhaust = (now: number): readonly string[] => Array.from({ length: 6 }, () => allowance.take(now));
  assert.equal(exhaust(0).filter((verdict) => verdict === "tell").length, 1);
  assert.equal(exhaust(100).filter((verdict) => verdict === "tell").length, 0);
  assert.equal(exhaust(10_000).filter((verdict) => verdict === "tell").length, 1);
});

test("never more than the burst and the rate allow", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(200), { maxLength: 300 }), (pauses) => {
      const allowance = new Allowance(20, 50);
      let now = 0;
      let passed = 0;
      for (const pause of pauses) {
        now += pause;
        if (allowance.take(now) === "yes") passed += 1;
        assert.ok(passed <= 20 + (now / 1000) * 50 + 1e-6);
      }
    }),
  );
});

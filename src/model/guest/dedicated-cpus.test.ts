import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isFault } from "../fault.ts";
import { chooseCpus, parseCpuList } from "./dedicated-cpus.ts";

const supply = {
  cpus: [0, 1, 2, 3, 4, 5],
  nodes: new Map([
    [0, [0, 1, 2]],
    [1, [3, 4, 5]],
  ]),
};

test("lists of processors are read as the kernel writes them", () => {
  assert.deepEqual(parseCpuList("0-3,8\n"), [0, 1, 2, 3, 8]);
  assert.deepEqual(parseCpuList(""), []);
  assert.deepEqual(parseCpuList("x,5-3,2"), [2]);
});

test("processors of one memory are taken where there are enough, first of that of the guest's devices", () => {
  assert.deepEqual(chooseCpus(2, supply, new Set()), [0, 1]);
  assert.deepEqual(chooseCpus(2, supply, new Set(), new Set([1])), [3, 4]);
  assert.deepEqual(chooseCpus(2, supply, new Set([0, 1]), new Set()), [3, 4]);
  assert.deepEqual(chooseCpus(4, supply, new Set(), new Set([1])), [3, 4, 5, 0]);
  assert.deepEqual(chooseCpus(2, { cpus: [4, 7], nodes: new Map() }, new Set()), [4, 7]);
});

test("where too few are left, it is said how many there are", () => {
  assert.throws(
    () => chooseCpus(5, supply, new Set([0, 1])),
    (thrown) =>
      isFault(thrown, "PB5080") && /5 processors.*4 of 6 left.*2 of them are other guests'/.test(thrown.message),
  );
});

test("nobody gets a processor twice, or one that is taken", () => {
  const some = fc.uniqueArray(fc.nat(5));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), some, fc.uniqueArray(fc.nat(1)), (count, taken, near) => {
      if (taken.length + count > 6) return;
      const chosen = chooseCpus(count, supply, new Set(taken), new Set(near));
      assert.equal(new Set(chosen).size, count);
      assert.ok(chosen.every((cpu) => supply.cpus.includes(cpu) && !taken.includes(cpu)));
    }),
  );
});

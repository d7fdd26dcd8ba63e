import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { everyClaim, stepsOf, testedClaims } from "./claims.ts";

const root = join(import.meta.dirname, "..");
const claims = everyClaim();

test("every claim is checked by a kernel or a guest test", () => {
  const tested = new Set(testedClaims(root));
  assert.deepEqual(
    [...claims].filter((id) => !tested.has(id)).sort(),
    [],
    'a test whose name begins with "ID: " is missing',
  );
});

test("a claim that a test speaks of is one that is made, and has one test", () => {
  const tested = testedClaims(root);
  assert.deepEqual(
    tested.filter((id, index) => !new Set<string>(claims).has(id) || tested.indexOf(id) !== index),
    [],
  );
});

test("a comment, a name elsewhere and a step that nobody waits for are no tests of a claim", () => {
  const source = [
    '  await step("bridge.in: at the address", async () => {});',
    '  // await step("bridge.out: as itself", async () => {});',
    '  const name = "bridge.mac: it has it";',
    '  void step("bridge.mtu: on every hop", async () => {});',
    '  await t.test(\n    "bridge.needs: nothing", () => {});',
  ];
  assert.deepEqual(stepsOf(source.join("\n")), ["bridge.in", "bridge.needs"]);
});

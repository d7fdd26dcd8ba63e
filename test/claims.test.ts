import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UNBUILT_BINDINGS } from "../src/model/wiring/unbuilt.ts";
import { everyClaim, stepsOf, testedClaims } from "./claims.ts";

const root = join(import.meta.dirname, "..");
const claims = everyClaim();
/** The claims that no test checks yet, because what they are about cannot be built. */
const listed = readFileSync(join(root, "test/claims-untested.txt"), "utf8")
  .split("\n")
  .filter((id) => id !== "");

test("every claim is checked by a kernel or a guest test, but for those that are listed", () => {
  const tested = new Set(testedClaims(root));
  assert.deepEqual(
    [...claims].filter((id) => !tested.has(id)).sort(),
    listed,
    'a test whose name begins with "ID: " is missing, or claims-untested.txt names a claim too many',
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

test("only claims about bindings that cannot be built yet may be listed", () => {
  const unbuilt = [...UNBUILT_BINDINGS];
  assert.deepEqual(
    listed.filter((id) => !unbuilt.some((field) => id.startsWith(`${field}.`))),
    [],
  );
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UNBUILT_BINDINGS } from "../src/model/wiring/unbuilt.ts";
import { everyClaim, testedClaims } from "./claims.ts";

const root = join(import.meta.dirname, "..");
const claims = everyClaim();
/** The claims that no test checks yet, because what they are about cannot be built. */
const listed = readFileSync(join(root, "test/claims-untested.txt"), "utf8").trimEnd().split("\n");

test("every claim is checked by a kernel or a guest test, but for those that are listed", () => {
  const tested = testedClaims(root, claims);
  assert.deepEqual(
    [...claims].filter((id) => !tested.has(id)).sort(),
    listed,
    'a test whose name begins with "ID: " is missing, or claims-untested.txt names a claim too many',
  );
});

test("only claims about bindings that cannot be built yet may be listed", () => {
  const unbuilt = [...UNBUILT_BINDINGS];
  assert.deepEqual(
    listed.filter((id) => !unbuilt.some((field) => id.startsWith(`${field}.`))),
    [],
  );
});

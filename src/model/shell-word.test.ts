import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { shellWord } from "./shell-word.ts";

test("what a shell takes as it stands is left so", () => {
  assert.equal(shellWord("/var/lib/patchbay"), "/var/lib/patchbay");
  assert.equal(shellWord("it's here"), "'it'\\''s here'");
  assert.equal(shellWord(""), "''");
});

test("a shell reads each text as the one word that it was", () => {
  const texts = fc.sample(fc.string({ unit: fc.constantFrom(..."a'\"\\ $`~*?#!&|;()<>{}[]\n\tä") }), 200);
  const { stdout } = spawnSync("sh", ["-c", `printf '%s\\0' ${texts.map(shellWord).join(" ")}`], { encoding: "utf8" });
  assert.deepEqual(stdout.split("\0").slice(0, -1), texts);
});

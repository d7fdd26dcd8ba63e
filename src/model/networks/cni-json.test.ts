import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readJson } from "./cni-json.ts";

for (const [text, line, column, problem] of [
  ['{"a": x}', 1, 7, '"x" stands where a value is expected'],
  ['{"a": 1,}', 1, 9, '"}" stands where a quoted key is expected'],
  ['{"a":[1,2', 1, 10, 'it ends where "," or "]" is expected'],
  ["", 1, 1, "it ends where a value is expected"],
  ['{"a" 1}', 1, 6, '"1" stands where ":" is expected'],
  ["[1 2]", 1, 4, '"2" stands where "," or "]" is expected'],
  ["{} {}", 1, 4, '"{" stands where its end is expected'],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3, '"b" stands where "," or "}" is expected'],
  ["// note\n{}", 1, 1, '"/" stands where a value is expected'],
  ['{"a\u007f\u0085": "\u0090", b}', 1, 14, '"b" stands where a quoted key is expected'],
  ["{a: 1}", 1, 2, '"a" stands where a quoted key or "}" is expected'],
] as const) {
  test(`names the place where ${JSON.stringify(text)} ceases to be JSON`, () => {
    assert.deepEqual(readJson(text), { problem, line, column });
  });
}

test("reads what JSON.parse reads, and never throws", () => {
  fc.assert(fc.property(fc.json(), (text) => assert.deepEqual(readJson(text), { value: JSON.parse(text) })));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => assert.ok(typeof readJson(bytes) === "object")));
});

test("finds the place behind a very long string", () => {
  const reading = readJson(`["${"a".repeat(20_000_000)}" x]`);
  assert.ok("problem" in reading);
  assert.equal(reading.column, 20_000_005);
});

test("finds a place in every text that JSON.parse refuses", () => {
  const damaged = fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 3 })).map(([text, at, noise]) => {
    const cut = at % (text.length + 1);
    return text.slice(0, cut) + noise + text.slice(cut + 1);
  });
  fc.assert(
    fc.property(damaged, (text) => {
      const reading = readJson(text);
      if ("value" in reading) return;
      const lines = text.split("\n");
      assert.ok(reading.line >= 1 && reading.line <= lines.length);
      assert.ok(reading.column >= 1 && reading.column <= (lines[reading.line - 1] ?? "").length + 1);
      assert.doesNotMatch(reading.problem, /its end is expected$/.test(reading.problem) ? /^it ends/ : /^$/);
    }),
    { numRuns: 2000 },
  );
});

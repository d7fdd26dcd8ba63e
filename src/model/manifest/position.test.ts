import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ManifestDocument } from "./document.ts";
import { readManifests } from "./read.ts";

function only(text: string): ManifestDocument {
  const [document] = readManifests(text, "a.yaml").documents;
  assert.ok(document);
  return document;
}

/** What stands in the text where `part` of the scalar `a` is said to be. */
function told(text: string, part: string): string | undefined {
  const document = only(text);
  const source = document.source(["a"]) ?? "";
  const place = document.within(["a"], source.indexOf(part), part.length);
  if (place === undefined) return undefined;
  const line = text.split("\n")[place.line - 1] ?? "";
  return `${place.line}:${place.column} ${line.slice(place.column - 1, place.column - 1 + place.length)}`;
}

test("a part of a scalar is found, however the scalar is written", () => {
  assert.equal(told('a: |\n    {\n      "mtu": 9\n    }\n', '"mtu"'), '3:7 "mtu"');
  assert.equal(told('a: |2\n    {\n      "mtu": 9\n', '"mtu"'), '3:7 "mtu"');
  assert.equal(told('a: >-\n  {\n  "mtu":\n\n  9}\n', '"mtu"'), '3:3 "mtu"');
  assert.equal(told(`a: '{"it''s": 1, "mtu": 9}'\n`, '"mtu"'), '1:18 "mtu"');
  assert.equal(told(`a: '{ "x": 1,\n   "mtu": 9}'\n`, '"mtu"'), '2:4 "mtu"');
  assert.equal(told('a: "{\\"x\\": 1,\\n\\t\\"mtu\\": 9}"\n', "mtu"), "1:21 mtu");
  assert.equal(told('a: "{ \\\n  \\x22mtu\\u0022: 9}"\n', "mtu"), "2:7 mtu");
  assert.equal(told("a: no mtu here\n", "mtu"), "1:7 mtu");
});

test("past the end of a scalar stands what is missing there; what is no scalar has no parts", () => {
  const document = only('a: |\n  {"b":\nc: {d: e}\n');
  const place = document.within(["a"], 6, 1);
  assert.deepEqual(place, { line: 2, column: 8, length: 1 });
  assert.equal(document.within(["c"], 0, 1), undefined);
  assert.equal(document.within(["none"], 0, 1), undefined);
});

test("a marker is found in a literal of any indentation and text", () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[ a-z{}",:]{0,12}$/), { maxLength: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (lines, indent) => {
        const all = ["x", ...lines, "  §", "y"];
        const text = `a: |\n${all.map((line) => `${" ".repeat(indent)}${line}\n`).join("")}`;
        assert.equal(told(text, "§"), `${all.length}:${indent + 3} §`);
      },
    ),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { roundingIn } from "./exact-numbers.ts";

test("a whole number that would be rounded is told by its place and its digits", () => {
  for (const [text, form] of [
    ['{"spec":{"ids":[1,{"a.b":9007199254740993}]}}', "json"],
    ["spec: {ids: [1, {a.b: 9007199254740993}]}", "yaml"],
  ] as const) {
    assert.match(
      roundingIn(text, form) ?? "",
      /^spec\.ids\[1\]\[a\.b\] is 9007199254740993, which is not kept exactly/,
    );
  }
  assert.match(roundingIn('{"a":-9223372036854775807}', "json") ?? "", /^a is -9223372036854775807,/);
  assert.match(roundingIn("9007199254740993", "json") ?? "", /^it is 9007199254740993,/);
});

test("what is no whole number of 64 bits is rounded as Kubernetes rounds it", () => {
  for (const number of [
    "1e300",
    "9007199254740993.0",
    "9007199254740993e0",
    "123456789012345678901234567890",
    "1e-7",
  ]) {
    assert.equal(roundingIn(`{"a":${number}}`, "json"), undefined);
    assert.equal(roundingIn(`a: ${number}`, "yaml"), undefined);
  }
});

test("bounds in a definition of a kind are rounded as Kubernetes rounds them, and nothing else in it", () => {
  const definition = (schema: string) => `{"kind":"CustomResourceDefinition","spec":{"schema":${schema}}}`;
  assert.equal(
    roundingIn(definition('{"maximum":9223372036854775807,"minimum":-9223372036854775807}'), "json"),
    undefined,
  );
  assert.match(roundingIn(definition('{"default":9223372036854775807}'), "json") ?? "", /^spec\.schema\.default is/);
});

test("what is let through comes out as it was written", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (number) => {
      const text = JSON.stringify([String(number)]).replaceAll('"', "");
      assert.equal(roundingIn(text, "json") === undefined, JSON.stringify(JSON.parse(text)) === text);
      assert.equal(roundingIn(text, "yaml") === undefined, roundingIn(text, "json") === undefined);
    }),
  );
});

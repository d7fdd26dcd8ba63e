import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkConstraints, satisfies } from "./constraints.ts";
import type { JsonSchema } from "./resource.ts";

const text = { type: "string" };
const whole = { type: "integer" };
const list = { type: "array", items: text };

describe("value validations", () => {
  const cases: readonly [string, JsonSchema, readonly unknown[], readonly unknown[]][] = [
    ["maxLength counts characters", { ...text, maxLength: 2 }, ["ab", "😀😀"], ["abc"]],
    ["minLength", { ...text, minLength: 1 }, ["a"], [""]],
    ["pattern", { ...text, pattern: "^a+$" }, ["aa"], ["ab"]],
    [
      "format date-time",
      { ...text, format: "date-time" },
      ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456+01:00"],
      ["2026-01-01", "2026-13-01T00:00:00Z"],
    ],
    ["format ipv4", { ...text, format: "ipv4" }, ["10.0.0.1"], ["10.0.0.256", "::1"]],
    ["format cidr", { ...text, format: "cidr" }, ["10.0.0.0/8", "fd00::/64"], ["10.0.0.0"]],
    ["format mac", { ...text, format: "mac" }, ["02:00:00:00:00:01"], ["02:00"]],
    ["format byte", { ...text, format: "byte" }, ["", "AAA="], ["A", "???="]],
    ["format duration", { ...text, format: "duration" }, ["1h30m", "5s", "0"], ["5", "h"]],
    ["a format that nobody knows", { ...text, format: "colour" }, ["red"], []],
    ["exclusiveMinimum", { ...whole, minimum: 1, exclusiveMinimum: true }, [2], [1]],
    ["exclusiveMaximum", { ...whole, maximum: 3, exclusiveMaximum: true }, [2], [3]],
    ["multipleOf", { type: "number", multipleOf: 0.1 }, [0.3, 5], [0.35]],
    ["number", { type: "number" }, [1.5, 1e300], ["1"]],
    ["maxItems", { ...list, maxItems: 1 }, [["a"]], [["a", "b"]]],
    ["a set", { ...list, "x-kubernetes-list-type": "set" }, [["a", "b"]], [["a", "a"]]],
    [
      "maxProperties",
      { type: "object", additionalProperties: text, maxProperties: 1 },
      [{ a: "1" }],
      [{ a: "1", b: "2" }],
    ],
    [
      "oneOf",
      { type: "object", properties: { a: text, b: text }, oneOf: [{ required: ["a"] }, { required: ["b"] }] },
      [{ a: "1" }],
      [{}, { a: "1", b: "2" }],
    ],
    ["anyOf", { ...text, anyOf: [{ enum: ["a"] }, { minLength: 3 }] }, ["a", "bbb"], ["b"]],
    ["allOf", { ...whole, allOf: [{ minimum: 2 }, { maximum: 4 }] }, [3], [1, 5]],
    ["not", { ...text, not: { pattern: "^x" } }, ["a"], ["xa"]],
    [
      "nested branches",
      { type: "object", properties: { a: list }, not: { properties: { a: { items: { enum: ["b"] } } } } },
      [{ a: ["c"] }],
      [{ a: ["b"] }],
    ],
  ];
  for (const [what, schema, right, wrong] of cases) {
    test(what, () => {
      for (const value of right) assert.equal(satisfies(schema, value), true, JSON.stringify(value));
      for (const value of wrong) assert.equal(satisfies(schema, value), false, JSON.stringify(value));
    });
  }

  test("a list by keys tells two elements of one key, defaults counted", () => {
    const items = { type: "object", properties: { port: whole, protocol: { ...text, default: "TCP" } } };
    const schema = {
      type: "array",
      items,
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["port", "protocol"],
    };
    assert.deepEqual(checkConstraints(schema, [{ port: 1 }, { port: 1, protocol: "UDP" }]), []);
    const [problem] = checkConstraints(
      { type: "object", properties: { ports: schema } },
      { ports: [{ port: 1 }, { port: 1, protocol: "TCP" }] },
    );
    assert.deepEqual([problem?.path, problem?.expected], ["ports", "elements that differ by port, protocol"]);
  });
});

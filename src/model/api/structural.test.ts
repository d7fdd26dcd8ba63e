import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crdOf } from "./crd.ts";
import { definitions } from "./kinds.ts";
import { placesOfRules, structuralProblems } from "./structural.ts";

const object = (properties: Readonly<Record<string, unknown>>) => ({ type: "object", properties });
const inSpec = (schema: unknown) => object({ spec: schema });
const text = { type: "string" };

describe("a structural schema", () => {
  const right: readonly [string, unknown][] = [
    ["any fields", { type: "object", "x-kubernetes-preserve-unknown-fields": true }],
    ["a field of any type", inSpec({ "x-kubernetes-preserve-unknown-fields": true })],
    ["int or string", inSpec({ "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }] })],
    [
      "int or string with a pattern",
      inSpec({
        "x-kubernetes-int-or-string": true,
        allOf: [{ anyOf: [{ type: "integer" }, { type: "string" }] }, { pattern: "a" }],
      }),
    ],
    [
      "restrictions of the name",
      object({ metadata: { type: "object", properties: { name: { type: "string", maxLength: 8 } } } }),
    ],
    [
      "branches of known fields",
      inSpec({
        ...object({ a: text, b: text }),
        oneOf: [{ required: ["a"] }, { required: ["b"] }],
        not: { properties: { a: { enum: ["x"] } } },
      }),
    ],
    [
      "a default with a default inside",
      inSpec({ ...object({ a: { ...text, default: "x" } }), required: ["a"], default: {} }),
    ],
    [
      "a list by keys",
      inSpec({
        type: "array",
        items: object({ name: text }),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
      }),
    ],
  ];
  for (const [what, schema] of right) {
    test(`may have ${what}`, () => assert.deepEqual(structuralProblems(schema, "s"), []));
  }

  const wrong: readonly [string, unknown, string, RegExp][] = [
    ["no object", "text", "s", /a schema is an object/],
    ["another root", { type: "string" }, "s.type", /must be object at the root/],
    ["no type", inSpec({ description: "x" }), "s.properties[spec].type", /must not be empty/],
    ["an unknown type", inSpec({ type: "text" }), "s.properties[spec].type", /Unsupported value: "text"/],
    ["a reference", inSpec({ ...text, $ref: "#/x" }), "s.properties[spec].$ref", /is not supported/],
    ["a misspelt word", inSpec({ type: "object", propertis: {} }), "s.properties[spec]", /did you mean "properties"\?/],
    ["a list of anything", inSpec({ type: "array" }), "s.properties[spec].items", /must be specified/],
    ["a tuple", inSpec({ type: "array", items: [text] }), "s.properties[spec].items", /not an array/],
    [
      "both kinds of properties",
      inSpec({ ...object({ a: text }), additionalProperties: text }),
      "s.properties[spec].additionalProperties",
      /mutual exclusive/,
    ],
    [
      "closed properties",
      inSpec({ type: "object", additionalProperties: false }),
      "s.properties[spec].additionalProperties",
      /cannot be set to false/,
    ],
    [
      "unique items",
      inSpec({ type: "array", items: text, uniqueItems: true }),
      "s.properties[spec].uniqueItems",
      /quadratic/,
    ],
    [
      "a type in a branch",
      inSpec({ ...text, anyOf: [{ type: "string" }] }),
      "s.properties[spec].anyOf[0].type",
      /to be structural/,
    ],
    [
      "a new field in a branch",
      inSpec({ ...object({}), anyOf: [{ properties: { a: { enum: [1] } } }] }),
      "s.properties[spec].properties[a]",
      /because it is defined inside/,
    ],
    [
      "labels of its own",
      object({ metadata: object({ labels: { type: "object" } }) }),
      "s.properties[metadata].properties[labels]",
      /only metadata.name/,
    ],
    ["a pattern that is none", inSpec({ ...text, pattern: "(" }), "s.properties[spec].pattern", /regular expression/],
    [
      "a default of another type",
      inSpec({ ...text, default: 1 }),
      "s.properties[spec].default",
      /that the schema takes/,
    ],
    [
      "a default with an unknown field",
      inSpec({ ...object({ a: text }), default: { b: 1 } }),
      "s.properties[spec].default",
      /that the schema takes/,
    ],
    [
      "a map list without keys",
      inSpec({ type: "array", items: object({}), "x-kubernetes-list-type": "map" }),
      "s.properties[spec].x-kubernetes-list-map-keys",
      /must not be empty/,
    ],
    ["a length that is none", inSpec({ ...text, maxLength: "8" }), "s.properties[spec].maxLength", /whole number/],
  ];
  for (const [what, schema, field, message] of wrong) {
    test(`may not have ${what}`, () => {
      const [first, ...more] = structuralProblems(schema, "s");
      assert.ok(first !== undefined);
      assert.deepEqual([first.field, more], [field, []]);
      assert.match(first.message, message);
    });
  }

  test("is what this project's own kinds have", () => {
    for (const definition of definitions) {
      const { spec } = crdOf(definition) as { spec: { versions: { schema: { openAPIV3Schema: unknown } }[] } };
      for (const { schema } of spec.versions) assert.deepEqual(structuralProblems(schema.openAPIV3Schema, "s"), []);
    }
  });
});

test("rules in CEL are found wherever they are", () => {
  const rule = { "x-kubernetes-validations": [{ rule: "true" }] };
  const schema = { ...inSpec({ type: "array", items: { ...object({ a: { ...text, ...rule } }) } }), ...rule };
  assert.deepEqual(placesOfRules(schema, "s"), ["s.properties.spec.items.properties.a", "s"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { conform } from "./conform.ts";
import { conforms } from "./conformity.ts";
import { checkConstraints } from "./constraints.ts";
import { definitions } from "./kinds.ts";
import type { JsonSchema } from "./resource.ts";
import { checkShape } from "./shape.ts";

const LISTS = ["distinct", "any"] as const;

/** What the functions say that `conforms` stands for. */
function isInOrder(schema: JsonSchema, value: unknown, lists: "distinct" | "any"): boolean {
  return (
    checkShape(schema, value).length === 0 &&
    checkConstraints(schema, value, lists).length === 0 &&
    conform(schema, value) === value
  );
}

const word = fc.constantFrom("a", "b", "c", "metadata", "kind");
/** Mostly absent: what is rare is left to the interpreters, and would hide what is not. */
const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 8 }, { arbitrary, weight: 1 });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const whole = fc.integer({ min: -3, max: 3 });

/** Schemas with everything that is read of them, and now and then what is malformed. */
const { schema: anySchema } = fc.letrec<{ schema: JsonSchema; node: JsonSchema }>((tie) => ({
  schema: fc
    .tuple(
      tie("node"),
      fc.record(
        {
          nullable: maybe(fc.boolean()),
          default: rarely(fc.constantFrom<unknown>("a", 1, {}, null)),
          enum: rarely(fc.array(fc.constantFrom("a", "b", 1, true), { maxLength: 2 })),
          not: rarely(fc.constantFrom({ enum: ["a"] }, { required: ["a"] })),
          anyOf: rarely(fc.constantFrom([{ minimum: 1 }, { pattern: "a" }], [])),
          "x-kubernetes-preserve-unknown-fields": maybe(fc.boolean()),
        },
        { requiredKeys: [] },
      ),
    )
    .map(([node, more]) => ({ ...node, ...more })),
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({
      type: fc.constant("string"),
      pattern: rarely(fc.constantFrom("^a", "b")),
      format: maybe(fc.constantFrom("ipv4", "odd")),
      maxLength: rarely(fc.nat(2)),
    }),
    fc.record({
      type: fc.constantFrom("integer", "number"),
      format: maybe(fc.constantFrom("int32", "int64")),
      minimum: maybe(whole),
      maximum: maybe(whole),
      multipleOf: rarely(fc.constant(2)),
      exclusiveMinimum: rarely(fc.boolean()),
    }),
    fc.record({ type: fc.constantFrom<unknown>("boolean", undefined, "odd"), items: rarely(tie("schema")) }),
    fc.record({
      "x-kubernetes-int-or-string": fc.constant(true),
      anyOf: rarely(fc.constant([{ type: "integer" }, { type: "string" }])),
      pattern: maybe(fc.constantFrom("^a", "b")),
      maxLength: rarely(fc.nat(2)),
    }),
    fc.record({
      type: fc.constantFrom("object", undefined),
      properties: maybe(fc.dictionary(word, tie("schema"), { maxKeys: 3 })),
      additionalProperties: maybe(fc.oneof(fc.boolean(), tie("schema"))),
      required: maybe(fc.array(word, { maxLength: 2 })),
      maxProperties: rarely(fc.nat(3)),
      "x-kubernetes-embedded-resource": maybe(fc.boolean()),
    }),
    fc.record({
      type: fc.constant("array"),
      items: maybe(tie("schema")),
      minItems: rarely(fc.nat(2)),
      uniqueItems: rarely(fc.boolean()),
      "x-kubernetes-list-type": rarely(fc.constantFrom("set", "map", "atomic")),
      "x-kubernetes-list-map-keys": maybe(fc.constant(["a"])),
    }),
  ),
}));

const scalar = fc.oneof(
  fc.constantFrom<unknown>("a", "b", "", "10.0.0.1", null, true, 1.5, -(2 ** 31), 2 ** 31, 2 ** 53, -0, undefined),
  whole,
);

/** A value that the schema is likely to take. */
function valueFor(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { type, properties = {}, items, required } = schema;
  const likely =
    type === "object"
      ? fc.record(
          Object.fromEntries(
            Object.entries(properties as Record<string, JsonSchema>).map(([name, field]) => [name, valueFor(field)]),
          ),
          {
            requiredKeys: Array.isArray(required)
              ? required.filter((name) => Object.hasOwn(properties as object, name))
              : [],
          },
        )
      : type === "array"
        ? fc.array(typeof items === "object" ? valueFor(items as JsonSchema) : scalar, { maxLength: 3 })
        : type === "boolean"
          ? fc.boolean()
          : type === "string"
            ? fc.constantFrom("a", "ab", "b", "10.0.0.1")
            : scalar;
  return fc.oneof(
    { arbitrary: likely, weight: 20 },
    { arbitrary: scalar, weight: 1 },
    { arbitrary: fc.dictionary(word, scalar, { maxKeys: 1 }), weight: 3 },
  );
}

test("of any schema and value it tells whether there is anything to say or to do", () => {
  let [yes, no] = [0, 0];
  fc.assert(
    fc.property(
      anySchema.chain((schema) => fc.tuple(fc.constant(schema), valueFor(schema))),
      ([schema, value]) => {
        for (const lists of LISTS) {
          const expected = isInOrder(schema, value, lists);
          assert.equal(conforms(schema, value, lists), expected);
          if (expected) yes += 1;
          else no += 1;
        }
      },
    ),
    { numRuns: 3_000 },
  );
  assert.ok(yes > 500 && no > 500, `${yes} were in order, ${no} were not`);
});

test("of each kind's own schema it tells so, too", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...definitions).chain(({ schema = {} }) => fc.tuple(fc.constant(schema), valueFor(schema))),
      ([schema, value]) => {
        for (const lists of LISTS) assert.equal(conforms(schema, value, lists), isInOrder(schema, value, lists));
      },
    ),
    { numRuns: 300 },
  );
});

test("an object inside another one may have what every object has, and nothing else that is not named", () => {
  const schema = { type: "object", "x-kubernetes-embedded-resource": true, properties: { spec: { type: "object" } } };
  assert.ok(conforms(schema, { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: {} }));
  assert.ok(!conforms(schema, { kind: "Pod", other: 1 }));
});

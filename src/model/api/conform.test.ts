import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { conform } from "./conform.ts";
import { definitions } from "./kinds.ts";

const text = { type: "string" };

test("unknown fields go, at every depth, but where the schema keeps them", () => {
  const schema = {
    type: "object",
    properties: {
      a: text,
      list: { type: "array", items: { type: "object", properties: { a: text } } },
      map: { type: "object", additionalProperties: { type: "object", properties: { a: text } } },
      open: {
        type: "object",
        properties: { in: { type: "object", properties: {} } },
        "x-kubernetes-preserve-unknown-fields": true,
      },
      any: { "x-kubernetes-preserve-unknown-fields": true },
      free: { type: "object", additionalProperties: true },
      embedded: { type: "object", "x-kubernetes-embedded-resource": true, properties: { spec: { type: "object" } } },
      closed: { type: "object" },
    },
  };
  const value = {
    a: "1",
    b: 2,
    list: [{ a: "1", b: 2 }],
    map: { one: { a: "1", b: 2 } },
    open: { x: 1, in: { x: 1 } },
    any: { x: { y: 1 } },
    free: { x: 1 },
    embedded: { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: { x: 1 }, other: 1 },
    closed: { x: 1 },
  };
  assert.deepEqual(conform(schema, value), {
    a: "1",
    list: [{ a: "1" }],
    map: { one: { a: "1" } },
    open: { x: 1, in: {} },
    any: { x: { y: 1 } },
    free: { x: 1 },
    embedded: { apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec: {} },
    closed: {},
  });
});

test("defaults fill what is absent, inside of defaults, lists and maps too", () => {
  const size = { type: "object", default: {}, properties: { width: { type: "integer", default: 3 } } };
  const schema = {
    type: "object",
    properties: { size, items: { type: "array", items: size }, by: { type: "object", additionalProperties: size } },
  };
  assert.deepEqual(conform(schema, {}), { size: { width: 3 } });
  assert.deepEqual(conform(schema, { size: { width: 5 }, items: [{}], by: { x: {} } }), {
    size: { width: 5 },
    items: [{ width: 3 }],
    by: { x: { width: 3 } },
  });
});

test("what is conformed once stays as it is", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...definitions),
      fc.dictionary(fc.constantFrom("spec", "status", "data", "x"), fc.jsonValue()),
      ({ schema = {} }, fields) => {
        const once = conform(schema, { apiVersion: "v1", kind: "K", metadata: { name: "n" }, ...fields });
        assert.deepEqual(conform(schema, once), once);
      },
    ),
  );
});

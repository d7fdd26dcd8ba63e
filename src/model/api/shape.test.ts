import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { definitionOf, definitions } from "./kinds.ts";
import type { JsonSchema } from "./resource.ts";
import { checkShape, type ShapeProblem } from "./shape.ts";

function schemaOf(kind: string, apiVersion = "kubevirt.io/v1"): JsonSchema {
  const schema = definitionOf(apiVersion, kind)?.schema;
  assert.ok(schema !== undefined);
  return schema;
}

function vmi(spec: unknown, rest: object = {}): unknown {
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata: { name: "a" }, spec, ...rest };
}

function shapeOf(value: unknown, kind = "VirtualMachineInstance"): ShapeProblem[] {
  return checkShape(schemaOf(kind), value);
}

const brief = (problems: readonly ShapeProblem[]): unknown[] =>
  problems.map(({ path, kind, hint }) => (hint === undefined ? [path, kind] : [path, kind, hint]));

test("an ordinary VMI has no problems", () => {
  const spec = {
    domain: {
      devices: { interfaces: [{ name: "default", masquerade: {}, ports: [{ port: 80 }] }], rng: {} },
      resources: { requests: { memory: "64Mi", cpu: 1 } },
      machine: { type: "" },
    },
    networks: [{ name: "default", pod: {} }],
    volumes: [{ name: "c", containerDisk: { image: "x" } }],
  };
  assert.deepEqual(shapeOf(vmi(spec, { status: { phase: "Running", whatever: 1 } })), []);
});

test("unknown fields name the near miss or the place they belong to", () => {
  const spec = {
    domain: { devices: { interfaces: [{ name: "a", masqurade: {}, bootFileName: "x" }], disk: [] } },
    interfaces: [],
    frobnicate: 1,
  };
  assert.deepEqual(brief(shapeOf(vmi(spec))), [
    ["spec.domain.devices.interfaces[0].masqurade", "unknown", 'did you mean "masquerade"?'],
    [
      "spec.domain.devices.interfaces[0].bootFileName",
      "unknown",
      '"bootFileName" belongs at spec.domain.devices.interfaces[0].dhcpOptions.bootFileName',
    ],
    ["spec.domain.devices.disk", "unknown", 'did you mean "disks"?'],
    ["spec.interfaces", "unknown", '"interfaces" belongs at spec.domain.devices.interfaces'],
    ["spec.frobnicate", "unknown"],
  ]);
  const vm = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    spec: { networks: [], template: { spec: { domain: { devices: {} } } } },
  };
  assert.deepEqual(brief(shapeOf(vm, "VirtualMachine")), [
    ["spec.networks", "unknown", '"networks" belongs at spec.template.spec.networks'],
  ]);
});

test("wrong types, missing fields and numbers out of range", () => {
  const nic = {
    name: 5,
    masquerade: null,
    bootOrder: -1,
    ports: [{ port: "80" }, { port: 2 ** 31 }, { port: 80.5 }, {}],
  };
  assert.deepEqual(brief(shapeOf(vmi({ domain: { devices: { interfaces: [nic, null, {}] } }, networks: {} }))), [
    ["spec.domain.devices.interfaces[0].name", "type"],
    ["spec.domain.devices.interfaces[0].masquerade", "type"],
    ["spec.domain.devices.interfaces[0].bootOrder", "value"],
    ["spec.domain.devices.interfaces[0].ports[0].port", "type"],
    ["spec.domain.devices.interfaces[0].ports[1].port", "value"],
    ["spec.domain.devices.interfaces[0].ports[2].port", "type"],
    ["spec.domain.devices.interfaces[0].ports[3].port", "missing"],
    ["spec.domain.devices.interfaces[1]", "type"],
    ["spec.domain.devices.interfaces[2].name", "missing"],
    ["spec.networks", "type"],
  ]);
  assert.deepEqual(brief(shapeOf({})), [
    ["apiVersion", "missing"],
    ["kind", "missing"],
    ["spec", "missing"],
  ]);
  assert.deepEqual(brief(shapeOf(7)), [["", "type"]]);
});

test("quantities, maps, null timestamps and free-form objects", () => {
  const spec = {
    domain: {
      devices: {},
      resources: { requests: { memory: "64Mib", cpu: 0.5 }, limits: { memory: "1e3" } },
      memory: { guest: 67108864 },
      clock: { timer: { whatever: true } },
    },
    nodeSelector: { a: 1 },
  };
  const metadata = { name: "a", creationTimestamp: null, annotations: { "a.b/c": 5 } };
  assert.deepEqual(brief(shapeOf(vmi(spec, { metadata }))), [
    ["metadata.annotations[a.b/c]", "type"],
    ["spec.domain.resources.requests.memory", "value"],
    ["spec.domain.resources.requests.cpu", "type"],
    ["spec.nodeSelector.a", "type"],
  ]);
});

test("names of built-in properties are fields like any other", () => {
  const spec = JSON.parse('{"domain":{"devices":{}},"__proto__":{"x":1},"constructor":1,"hasOwnProperty":2}');
  assert.deepEqual(brief(shapeOf(vmi(spec))), [
    ["spec.__proto__", "unknown"],
    ["spec.constructor", "unknown"],
    ["spec.hasOwnProperty", "unknown"],
  ]);
});

test("no value makes it throw, however deep or wide", () => {
  let deep: unknown = {};
  for (let level = 0; level < 20_000; level += 1) deep = { spec: deep, domain: [deep] };
  for (const { schema } of definitions) assert.ok(checkShape(schema ?? {}, deep).length <= 100);
  assert.equal(
    shapeOf(vmi({ domain: { devices: { interfaces: Array.from({ length: 5000 }, () => 1) } } })).length,
    100,
  );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const { schema } of definitions) checkShape(schema ?? {}, value);
      shapeOf(vmi(value));
    }),
  );
});

test("every schema is structural and every field described", () => {
  const visit = (schema: JsonSchema, path: string): void => {
    assert.ok(typeof schema["description"] === "string" && schema["description"].length > 3, path);
    for (const word of ["$ref", "oneOf", "allOf", "not"]) assert.ok(!(word in schema), path);
    const free = schema["x-kubernetes-preserve-unknown-fields"] === true;
    if (schema["x-kubernetes-int-or-string"] !== true) {
      assert.ok(typeof schema["type"] === "string" || free, `${path} has a type`);
      assert.ok(!("anyOf" in schema), path);
    }
    const properties = (schema["properties"] ?? {}) as Record<string, JsonSchema>;
    for (const [name, field] of Object.entries(properties)) visit(field, `${path}.${name}`);
    for (const key of ["items", "additionalProperties"]) {
      if (key in schema) visit(schema[key] as JsonSchema, `${path}[${key}]`);
    }
  };
  for (const { kind, schema } of definitions) visit(schema ?? {}, kind);
});

test("what a number may be is told with its bounds", () => {
  const expected = (schema: JsonSchema, value: unknown): unknown => checkShape(schema, value)[0]?.expected;
  assert.equal(expected({ type: "integer", minimum: 1 }, 0), "a whole number from 1");
  assert.equal(expected({ type: "integer", minimum: 1, maximum: 9 }, 10), "a whole number from 1 to 9");
  assert.equal(expected({ type: "integer", maximum: 9 }, 10), "a whole number up to 9");
  assert.equal(expected({ type: "number", minimum: 0.5 }, 0), "a number from 0.5");
  assert.equal(expected({ type: "integer" }, 0.5), "a whole number");
  assert.equal(
    expected({ type: "integer", format: "int32", minimum: 1 }, 2 ** 31),
    "a whole number from 1 to 2147483647",
  );
  assert.equal(expected({ type: "integer", format: "int32" }, -(2 ** 31) - 1), "a whole number from -2147483648");
});

test("what a node has is told in quantities, or clients could not read it", () => {
  const schema = schemaOf("Node", "v1");
  const node = (capacity: unknown) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n" },
    status: { capacity },
  });
  assert.deepEqual(checkShape(schema, node({ cpu: 2, memory: "4Gi" })), []);
  assert.equal(checkShape(schema, node({ cpu: "many" }))[0]?.path, "status.capacity.cpu");
});

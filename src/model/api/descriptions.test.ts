import assert from "node:assert/strict";
import { test } from "node:test";
import { isJsonObject, objectAt } from "../json.ts";
import { networkInterface } from "./interfaces.ts";
import { definitionOf } from "./kinds.ts";
import { network } from "./networks.ts";
import type { JsonSchema } from "./resource.ts";

interface Field {
  readonly path: string;
  readonly schema: JsonSchema;
  readonly description: string;
  readonly isRequired: boolean;
}

/** Every field below a schema, elements of lists and values of maps included. */
function* fieldsOf(schema: JsonSchema, path: string): Generator<Field> {
  const field = (inner: unknown, name: string, isRequired: boolean): Field[] =>
    isJsonObject(inner)
      ? [{ path: name, schema: inner, description: String(inner["description"] ?? ""), isRequired }]
      : [];
  const required = new Set(Array.isArray(schema["required"]) ? schema["required"] : []);
  const found = [
    ...Object.entries(objectAt(schema, "properties")).flatMap(([name, inner]) =>
      field(inner, `${path}.${name}`, required.has(name)),
    ),
    ...field(schema["items"], `${path}[]`, true),
    ...field(schema["additionalProperties"], `${path}{}`, true),
  ];
  for (const one of found) {
    yield one;
    yield* fieldsOf(one.schema, one.path);
  }
}

/** True for what a user writes a value into: everything but objects. */
const isValue = ({ schema }: Field): boolean => schema["type"] !== "object";

/** The fields of `spec` of KubeVirt's kinds, less the metadata of templates, which are Kubernetes'. */
const specs = ["VirtualMachineInstance", "VirtualMachine", "KubeVirt", "VirtualMachineInstanceMigration"].flatMap(
  (kind) => {
    const schema = objectAt(objectAt(definitionOf("kubevirt.io/v1", kind)?.schema ?? {}, "properties"), "spec");
    return [...fieldsOf(schema, `${kind}.spec`)].filter(({ path }) => !path.includes(".template.metadata"));
  },
);

/** What the documents and the reference's first section are about. */
const networking = [
  ...fieldsOf({ properties: { interfaces: networkInterface } }, "devices"),
  ...fieldsOf({ properties: { networks: network } }, "spec"),
  ...specs.filter(({ path }) => /^KubeVirt\.spec\.configuration\.network\./.test(path)),
  ...specs.filter(({ path }) =>
    /^VirtualMachineInstance\.spec\.(?:networks|hostname|subdomain|dnsPolicy|dnsConfig\..+|domain\.devices\.(?:interfaces|autoattachPodInterface|networkInterfaceMultiqueue|useVirtioTransitional))$/.test(
      path,
    ),
  ),
];

const silent = (fields: readonly Field[], said: RegExp): string[] =>
  fields.filter(({ description }) => !said.test(description)).map(({ path, description }) => `${path}: ${description}`);

test("every field has a description that ends as a sentence", () => {
  assert.ok(specs.length > 400, `${specs.length} fields`);
  assert.deepEqual(silent(specs, /^\S.*[.)]$/), []);
});

test("what may be left out says what holds then, or when it may not", () => {
  assert.deepEqual(
    silent(
      specs.filter((field) => isValue(field) && !field.isRequired),
      /\b[Dd]efault\b|\bRequired\b/,
    ),
    [],
  );
});

test("a number says its range or what it counts", () => {
  const numbers = specs.filter(
    ({ schema }) => schema["type"] === "integer" || schema["x-kubernetes-int-or-string"] === true,
  );
  assert.ok(numbers.length > 30, `${numbers.length} numbers`);
  assert.deepEqual(
    silent(numbers, /\d+ to \d+|from 1\b|\b(?:[Ss]econds|bytes|cores|[Nn]umber|Successes|Failures)\b/),
    [],
  );
});

test("the fields of networking say what is refused, or that nothing is", () => {
  const values = networking.filter(isValue);
  assert.ok(values.length > 50, `${values.length} fields`);
  assert.deepEqual(silent(values, /\brefused?\b|\bRefused\b|\btaken\b/), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { definitions } from "../model/api/kinds.ts";
import { isJsonObject, objectAt } from "../model/json.ts";
import { makeCatalog } from "./catalog.ts";
import { openApiV2Document } from "./openapi-v2.ts";
import { openApiV2Protobuf } from "./openapi-v2-protobuf.ts";
import { readFields } from "./protobuf.ts";

const document = openApiV2Document(makeCatalog(definitions), "Patchbay", "v1");
const message = openApiV2Protobuf(document);

/** The values of one field of a message. */
function valuesOf(bytes: Uint8Array, number: number): Uint8Array[] {
  return readFields(bytes)
    .filter((field) => field.number === number)
    .map(({ value }) => {
      assert.ok(value instanceof Uint8Array);
      return value;
    });
}

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

/** A schema's properties by name: Schema.properties (25), Properties.additional_properties (1), NamedSchema (1, 2). */
function propertiesOf(schema: Uint8Array): Map<string, Uint8Array> {
  const named = valuesOf(schema, 25).flatMap((properties) => valuesOf(properties, 1));
  return new Map(named.map((entry) => [text(valuesOf(entry, 1)[0]), valuesOf(entry, 2)[0] ?? new Uint8Array()]));
}

function assertSame(schema: Uint8Array, json: unknown, place: string): void {
  assert.ok(isJsonObject(json), place);
  assert.equal(text(valuesOf(schema, 1)[0]), json["$ref"] ?? "", place);
  assert.equal(text(valuesOf(schema, 4)[0]), json["description"] ?? "", place);
  assert.deepEqual(valuesOf(schema, 19).map(text), json["required"] ?? [], place);
  assert.equal(text(valuesOf(valuesOf(schema, 22)[0] ?? new Uint8Array(), 1)[0]), json["type"] ?? "", place);
  const properties = propertiesOf(schema);
  const fields = objectAt(json, "properties");
  assert.deepEqual([...properties.keys()], Object.keys(fields), place);
  // A marker has properties, and none: without them it would take any field.
  assert.equal(valuesOf(schema, 25).length, json["properties"] === undefined ? 0 : 1, place);
  for (const [name, below] of properties) assertSame(below, fields[name], `${place}.${name}`);
  for (const item of valuesOf(schema, 23)) assertSame(valuesOf(item, 1)[0] ?? item, json["items"], `${place}[]`);
}

test("the protobuf form says of every schema what the JSON form says", () => {
  const schemas = valuesOf(valuesOf(message, 9)[0] ?? message, 1);
  const byName = new Map(schemas.map((entry) => [text(valuesOf(entry, 1)[0]), valuesOf(entry, 2)[0]]));
  const definitionsJson = objectAt(document, "definitions");
  assert.deepEqual([...byName.keys()], Object.keys(definitionsJson));
  for (const [name, schema] of byName) assertSame(schema ?? new Uint8Array(), definitionsJson[name], name);
});

test("an object that may hold any field names none, or kubectl would refuse the others", () => {
  const kubeVirt = objectAt(objectAt(document, "definitions"), "io.kubevirt.v1.KubeVirt");
  const spec = objectAt(objectAt(kubeVirt, "properties"), "spec");
  assert.deepEqual([spec["type"], spec["properties"]], ["object", undefined]);
});

test("lists of Kubernetes' own kinds carry the key that clients merge them by, and no others do", () => {
  const json = JSON.stringify(document);
  assert.match(json, /"x-kubernetes-patch-merge-key":"uid"/);
  const vmi = JSON.stringify(objectAt(document, "definitions")["io.kubevirt.v1.VirtualMachineInstance"]);
  assert.ok(!vmi.includes("patch-merge-key"));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { checkManifest } from "./check.ts";
import { readManifests } from "./read.ts";

function told(metadata: string, kind = "ConfigMap"): string[] {
  const { documents } = readManifests(`apiVersion: v1\nkind: ${kind}\nmetadata: ${metadata}\n`, "a.yaml");
  return documents
    .flatMap((document) => checkManifest(document, undefined))
    .map(({ code, path, column }) => `${code} ${path} ${column}`);
}

test("names, namespaces, labels and annotations are told where the API would refuse them", () => {
  assert.deepEqual(
    told("{name: a.b-c, namespace: d, labels: {x/y: Z_1, e: ''}, annotations: {Any/key: any text}}"),
    [],
  );
  assert.deepEqual(told("{name: A}"), ["PB1017 metadata.name 18"]);
  assert.deepEqual(told(`{name: ${"a".repeat(254)}}`), ["PB1017 metadata.name 18"]);
  assert.deepEqual(told("{name: a, namespace: b.c}"), ["PB1017 metadata.namespace 32"]);
  assert.deepEqual(told("{name: a.b}", "Namespace"), ["PB1017 metadata.name 18"]);
  assert.deepEqual(told("{name: a, labels: {k: a b}}"), ["PB1017 metadata.labels.k 33"]);
  assert.deepEqual(told("{name: a, labels: {/k: a}}"), ["PB1017 metadata.labels[/k] 30"]);
  assert.deepEqual(told("{name: a, annotations: {a b: c}}"), ["PB1017 metadata.annotations[a b] 35"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../api/resource.ts";
import { admitData } from "./data-objects.ts";

const configMap = (fields: object): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "c", namespace: "default" },
  ...fields,
});
const secret = (fields: object): KubeObject => ({ ...configMap(fields), kind: "Secret" });

function fieldsRefused(object: KubeObject, earlier?: KubeObject): readonly string[] {
  const answer = admitData(object, earlier);
  return answer.allowed ? [] : answer.causes.map(({ field }) => field);
}

test("names of keys, base64 and size are held", () => {
  assert.deepEqual(fieldsRefused(configMap({ data: { "a.b-c_D": "x" }, binaryData: { b: "AAE=" } })), []);
  assert.deepEqual(fieldsRefused(configMap({ data: { "a b": "x", "..": "", "..x": "", ".": "" } })), [
    "data[a b]",
    "data[..]",
    "data[..x]",
    "data[.]",
  ]);
  assert.deepEqual(fieldsRefused(configMap({ data: { a: "x" }, binaryData: { a: "", b: "A" } })), [
    "binaryData[b]",
    "binaryData[a]",
  ]);
  assert.deepEqual(fieldsRefused(secret({ data: { a: "eA==", b: "%%%" } })), ["data[b]"]);
  assert.deepEqual(fieldsRefused(configMap({ data: { a: "é".repeat(524_289) } })), ["data"]);
  assert.deepEqual(fieldsRefused(secret({ data: { a: "A".repeat(1_398_104) } })), ["data"]);
});

test("what is immutable stays, labels aside, and so does it itself", () => {
  const held = configMap({ data: { a: "1" }, immutable: true });
  assert.deepEqual(fieldsRefused({ ...held, metadata: { name: "c", labels: { a: "b" } } }, held), []);
  assert.deepEqual(fieldsRefused({ ...held, binaryData: {} }, held), []);
  assert.deepEqual(fieldsRefused(configMap({ data: { a: "2" }, immutable: true }), held), ["data"]);
  assert.deepEqual(fieldsRefused(configMap({ data: { a: "1" } }), held), ["immutable"]);
  assert.deepEqual(fieldsRefused(held, configMap({ data: { a: "2" } })), []);
});

test("a Secret is Opaque where it says nothing, and keeps its type", () => {
  const answer = admitData(secret({}), undefined);
  assert.ok(answer.allowed);
  assert.equal(answer.object["type"], "Opaque");
  assert.deepEqual(fieldsRefused(secret({}), secret({ type: "Opaque" })), []);
  assert.deepEqual(fieldsRefused(secret({ type: "kubernetes.io/tls" }), secret({})), ["type"]);
});

test("S3.95: a list of macvtap devices that cannot be read is warned of", () => {
  const warned = (data: Record<string, string>, name = "macvtap-deviceplugin-config"): readonly string[] =>
    admitData({ ...configMap({ data }), metadata: { name } }, undefined).warnings;
  assert.deepEqual(warned({ DP_MACVTAP_CONF: "[" }), [
    'PB6123: data.DP_MACVTAP_CONF: line 1, column 2: it ends where a value or "]" is expected. Write JSON.',
  ]);
  assert.deepEqual(warned({ other: "x" }), ['PB6123: data.DP_MACVTAP_CONF is not there. Write "[]" for every link.']);
  assert.deepEqual(warned({ DP_MACVTAP_CONF: "[]" }), []);
  assert.deepEqual(warned({ DP_MACVTAP_CONF: "[" }, "another"), []);
});

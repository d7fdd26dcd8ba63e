import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../api/resource.ts";
import { admitEndpointSlice } from "./endpoint-slice.ts";

const slice = (fields: object): KubeObject => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "s", namespace: "default" },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.0.0.1"] }],
  ports: [{ name: "http", port: 80 }],
  ...fields,
});

function refused(object: KubeObject, earlier?: KubeObject): readonly string[] {
  const answer = admitEndpointSlice(object, earlier);
  return answer.allowed ? [] : answer.causes.map(({ field, message }) => `${field}: ${message}`);
}

test("a slice's type of addresses stays, all else may change", () => {
  const moved = slice({ endpoints: [{ addresses: ["10.0.0.2"] }], ports: [] });
  assert.deepEqual(refused(moved, slice({})), []);
  const other = slice({ addressType: "IPv6", endpoints: [{ addresses: ["fd00::1"] }] });
  assert.deepEqual(refused(other), []);
  assert.deepEqual(refused(other, slice({})), ['addressType: Invalid value: "IPv6": field is immutable']);
});

test("a slice's addresses are of its type, and names of its ports stand once", () => {
  assert.deepEqual(refused(slice({ endpoints: [{ addresses: [] }, { addresses: ["10.0.0.1", "fd00::1"] }] })), [
    "endpoints[0].addresses: Required value: must contain at least 1 address",
    'endpoints[1].addresses[1]: Invalid value: "fd00::1": must be a valid IPv4 address',
  ]);
  assert.deepEqual(refused(slice({ addressType: "IPv6" })), [
    'endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be a valid IPv6 address',
  ]);
  assert.deepEqual(refused(slice({ addressType: "FQDN", endpoints: [{ addresses: ["a.example.org"] }] })), []);
  assert.deepEqual(refused(slice({ ports: [{ port: 1 }, { name: "", port: 2 }] })), [
    'ports[1].name: Duplicate value: ""',
  ]);
});

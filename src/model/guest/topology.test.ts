import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryOf, topologyOf, vcpusOf } from "./topology.ts";

test("vCPUs are sockets × cores × threads, each absent one counting as one (reference 7.4)", () => {
  assert.equal(vcpusOf(topologyOf({ devices: {}, cpu: { sockets: 2, threads: 2 } })), 4);
  assert.equal(vcpusOf(topologyOf({ devices: {} })), 1);
});

test("without a topology the CPU limit comes before the request, rounded up", () => {
  assert.equal(vcpusOf(topologyOf({ devices: {}, resources: { limits: { cpu: "2500m" }, requests: { cpu: 1 } } })), 3);
  assert.equal(vcpusOf(topologyOf({ devices: {}, resources: { requests: { cpu: "1" } } })), 1);
});

test("memory.guest comes before the request, and the request before the limit", () => {
  const resources = { requests: { memory: "64Mi" }, limits: { memory: "1Gi" } };
  assert.equal(memoryOf({ devices: {}, memory: { guest: "128Mi" }, resources }), 128n << 20n);
  assert.equal(memoryOf({ devices: {}, resources }), 64n << 20n);
  assert.equal(memoryOf({ devices: {} }), 512n << 20n);
});

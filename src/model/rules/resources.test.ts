import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";

/** What is wrong with a guest of that domain, as `code field`. */
function verdict(domain: object): string[] {
  const vmi = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", namespace: "default" },
    spec: { domain: { devices: {}, ...domain } },
  };
  return judge("VirtualMachineInstance", vmi).problems.map(({ code, field }) => `${code} ${field}`);
}

test("amounts are not negative, memory is at least what a guest needs, and no request is above its limit", () => {
  const resources = (requests: object, limits: object = {}): string[] =>
    verdict({ resources: { requests: { memory: "64Mi", ...requests }, limits } });
  const at = "spec.domain.resources";
  assert.deepEqual(resources({ cpu: "500m" }, { cpu: 1, memory: "64Mi" }), []);
  assert.deepEqual(resources({ memory: "-1", cpu: "-1m" }, { memory: "-1Gi" }), [
    `PB2427 ${at}.requests.memory`,
    `PB2427 ${at}.limits.memory`,
    `PB2427 ${at}.requests.cpu`,
  ]);
  assert.deepEqual(resources({ memory: "64" }), [`PB2428 ${at}.requests.memory`]);
  assert.deepEqual(resources({ memory: "65Mi", cpu: "1.5" }, { memory: "64Mi", cpu: "1400m" }), [
    `PB2429 ${at}.requests.memory`,
    `PB2429 ${at}.requests.cpu`,
  ]);
});

test("what is not requested is the limit, and memory else what the guest sees", () => {
  const REQUESTS = "spec.domain.resources.requests";
  assert.deepEqual(verdict({ resources: { limits: { memory: "64" } } }), [`PB2428 ${REQUESTS}.memory`]);
  assert.deepEqual(verdict({ resources: { requests: { memory: 0 }, limits: { memory: "64" } } }), [
    `PB2428 ${REQUESTS}.memory`,
  ]);
  assert.deepEqual(verdict({ resources: { limits: { memory: "-64Mi", cpu: "-1" } } }), [
    `PB2427 ${REQUESTS}.memory`,
    "PB2427 spec.domain.resources.limits.memory",
    `PB2427 ${REQUESTS}.cpu`,
    "PB2427 spec.domain.resources.limits.cpu",
  ]);
  assert.deepEqual(verdict({ resources: {}, memory: { guest: "64" } }), [`PB2428 ${REQUESTS}.memory`]);
  assert.deepEqual(verdict({ resources: {}, memory: { guest: "64Mi" } }), []);
  assert.deepEqual(verdict({ resources: { requests: { memory: "64Mi" } }, memory: { guest: "64" } }), []);
  assert.deepEqual(verdict({ resources: {}, memory: { guest: "-1" } }), []);
});

test("an amount of hundreds of digits is compared, too", () => {
  const resources = { requests: { memory: "64Mi", cpu: "9".repeat(400) }, limits: { cpu: "1" } };
  assert.deepEqual(verdict({ resources }), ["PB2429 spec.domain.resources.requests.cpu"]);
});

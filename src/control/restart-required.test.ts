import assert from "node:assert/strict";
import { test } from "node:test";
import type { VmiSpec } from "../model/api/vmi.ts";
import { fieldsThatNeedRestart } from "./restart-required.ts";

type Nics = NonNullable<VmiSpec["domain"]["devices"]["interfaces"]>;

function spec(interfaces: Nics, networks: NonNullable<VmiSpec["networks"]>, more: Partial<VmiSpec> = {}): VmiSpec {
  return { domain: { devices: { interfaces } }, networks, ...more };
}

const pod = { name: "default", pod: {} };
const blue = { name: "blue", multus: { networkName: "blue" } };
const both = spec(
  [
    { name: "default", masquerade: {} },
    { name: "blue", bridge: {} },
  ],
  [pod, blue],
);

test("nothing changed: nothing to say, whatever the order of the keys and of empty fields", () => {
  assert.deepEqual(fieldsThatNeedRestart(both, both), []);
  const other = spec(
    [
      { masquerade: {}, name: "default", ports: [] },
      { bridge: {}, name: "blue" },
    ],
    [pod, blue],
  );
  assert.deepEqual(fieldsThatNeedRestart(other, both), []);
});

test("the disk that was added for a volume of the template is no change", () => {
  const volumes = [{ name: "a", containerDisk: { image: "x" } }];
  const template = spec([{ name: "default", masquerade: {} }], [pod], { volumes });
  const { devices } = template.domain;
  const running = { ...template, domain: { devices: { ...devices, disks: [{ name: "a" }] } } };
  assert.deepEqual(fieldsThatNeedRestart(template, running), []);
  const further = { ...template, volumes: [...volumes, { name: "b", emptyDisk: { capacity: "1Gi" } }] };
  assert.deepEqual(fieldsThatNeedRestart(further, running), ["volumes", "domain.devices.disks"]);
});

test("a NIC may be added, set down, and its NAD be another one", () => {
  const one = spec([{ name: "default", masquerade: {} }], [pod]);
  assert.deepEqual(fieldsThatNeedRestart(both, one), []);
  const down = spec(
    [
      { name: "default", masquerade: {}, state: "down" },
      { name: "blue", bridge: {} },
    ],
    [pod, blue],
  );
  assert.deepEqual(fieldsThatNeedRestart(down, both), []);
  const renamed = spec(both.domain.devices.interfaces ?? [], [pod, { name: "blue", multus: { networkName: "green" } }]);
  assert.deepEqual(fieldsThatNeedRestart(renamed, both), []);
});

test("a NIC that is gone or another, and a pod network that comes, need a restart", () => {
  const one = spec([{ name: "default", masquerade: {} }], [pod]);
  assert.deepEqual(fieldsThatNeedRestart(one, both), ["networks[blue]", "domain.devices.interfaces[blue]"]);
  const modelled = spec(
    [
      { name: "default", masquerade: {}, model: "e1000" },
      { name: "blue", bridge: {} },
    ],
    [pod, blue],
  );
  assert.deepEqual(fieldsThatNeedRestart(modelled, both), ["domain.devices.interfaces[default]"]);
  const without = spec([{ name: "blue", bridge: {} }], [blue]);
  assert.deepEqual(fieldsThatNeedRestart(both, without), ["networks[default]"]);
});

test("the implicit NIC is no change; the first listed one is", () => {
  const bare: VmiSpec = { domain: { devices: {} } };
  const implicit = spec([{ name: "default", bridge: {} }], [pod]);
  assert.deepEqual(fieldsThatNeedRestart(bare, implicit), []);
  const first = spec([{ name: "blue", bridge: {} }], [blue]);
  assert.deepEqual(fieldsThatNeedRestart(first, implicit), ["networks[default]", "domain.devices.interfaces[default]"]);
});

test("other fields are named by their path", () => {
  const changed = { ...both, hostname: "x", domain: { ...both.domain, resources: { requests: { memory: "1Gi" } } } };
  assert.deepEqual(fieldsThatNeedRestart(changed, both), ["hostname", "domain.resources"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stored } from "../api/stored.ts";
import type { VirtualMachineInstance } from "../api/vmi.ts";
import { planRequestOf } from "./plan-request.ts";

const vmi: Stored<VirtualMachineInstance> = {
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: "web.one", namespace: "ours", uid: "u", resourceVersion: "1", annotations: { a: "b" } },
  spec: { domain: { devices: {} } },
};

test("a VMI is the VM's where one owns it; plugins are those of the configuration", () => {
  const request = planRequestOf(vmi, { network: { binding: { x: { sidecarImage: "i" } } } });
  const { plugins, ...rest } = request;
  assert.deepEqual(rest, {
    namespace: "ours",
    name: "web.one",
    hostName: "web",
    spec: vmi.spec,
    annotations: { a: "b" },
    ofVm: false,
  });
  assert.deepEqual([...(plugins ?? [])], [["x", { sidecarImage: "i" }]]);
  const ownerReferences = [{ apiVersion: "kubevirt.io/v1", kind: "VirtualMachine", name: "web.one", uid: "v" }];
  const owned = { ...vmi, metadata: { ...vmi.metadata, ownerReferences } };
  assert.equal(planRequestOf(owned, undefined).ofVm, true);
});

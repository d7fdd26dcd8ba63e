import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../model/api/pod.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { VmiStatus } from "../model/api/vmi-status.ts";
import type { ClusterNode } from "../model/pods/node-fit.ts";
import { decideVmi } from "./vmi-decision.ts";

const vmi: Stored<VirtualMachineInstance> = {
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: "web", namespace: "default", uid: "0000-abcde", resourceVersion: "1", labels: { app: "x" } },
  spec: { domain: { devices: {} } },
};
const node: ClusterNode = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1", labels: { disk: "ssd" } },
  status: { conditions: [{ type: "Ready", status: "True" }] },
};
const pod: Stored<Pod> = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "virt-launcher-web-abcde", namespace: "default", uid: "p1", resourceVersion: "2" },
  spec: { nodeName: "n1" },
};

function kinds(actions: readonly { readonly do: string }[]): string[] {
  return actions.map((action) => action.do);
}

test("a new VMI gets one pod, on a ready node, with its labels and the node's finalizer", () => {
  const actions = decideVmi({ vmi, pods: [], nodes: [node] });
  assert.deepEqual(kinds(actions), ["pod.create", "status", "event"]);
  const [first] = actions;
  assert.ok(first?.do === "pod.create");
  assert.equal(first.pod.metadata?.name, "virt-launcher-web-abcde");
  assert.equal(first.pod.metadata?.labels?.["app"], "x");
  assert.deepEqual(first.pod.metadata?.finalizers, ["patchbay.io/node"]);
  assert.equal(first.pod.spec?.nodeName, "n1");
});

test("without a node that takes it the VMI says so, once", () => {
  const picky = { ...vmi, spec: { ...vmi.spec, nodeSelector: { disk: "nvme" } } };
  const actions = decideVmi({ vmi: picky, pods: [], nodes: [node] });
  assert.deepEqual(kinds(actions), ["status", "event"]);
  const [first] = actions;
  assert.ok(first?.do === "status");
  const status = first.change({}, "2026-01-01T00:00:00Z") as VmiStatus;
  const said = status.conditions?.find(({ type }) => type === "Synchronized");
  assert.equal(said?.reason, "PB6104");
  assert.match(said?.message ?? "", /n1 does not have the labels disk=nvme/);
  assert.deepEqual(decideVmi({ vmi: { ...picky, status }, pods: [], nodes: [node] }), []);
});

test("a node that is cordoned takes no VMI", () => {
  const cordoned = { ...node, spec: { unschedulable: true } };
  assert.deepEqual(kinds(decideVmi({ vmi, pods: [], nodes: [cordoned] })), ["status", "event"]);
});

test("a scheduled pod brings the phase Scheduled; a running guest is the node's business", () => {
  const [scheduled] = decideVmi({ vmi, pods: [pod], nodes: [node] });
  assert.ok(scheduled?.do === "status");
  assert.equal(scheduled.change({}, "t").phase, "Scheduled");
  assert.deepEqual(decideVmi({ vmi: { ...vmi, status: { phase: "Running" } }, pods: [pod], nodes: [node] }), []);
});

test("what is decided on an old status takes no phase back that the node has told since", () => {
  const picky = { ...vmi, spec: { ...vmi.spec, nodeSelector: { disk: "nvme" } } };
  const decided = [
    decideVmi({ vmi, pods: [], nodes: [node] }),
    decideVmi({ vmi, pods: [pod], nodes: [node] }),
    decideVmi({ vmi: picky, pods: [], nodes: [node] }),
  ].flatMap((actions) => actions.flatMap((action) => (action.do === "status" ? [action.change] : [])));
  assert.equal(decided.length, 3);
  for (const phase of ["Running", "Succeeded", "Failed"] as const) {
    const status = { phase };
    for (const change of decided) assert.equal(change(status, "t"), status);
  }
});

test("deletion: first the pods, and the finalizer when they are gone", () => {
  const deleted = { ...vmi, metadata: { ...vmi.metadata, deletionTimestamp: "t" } };
  assert.deepEqual(kinds(decideVmi({ vmi: deleted, pods: [pod], nodes: [node] })), ["pod.delete"]);
  const going = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: "t" } };
  assert.deepEqual(decideVmi({ vmi: deleted, pods: [going], nodes: [node] }), []);
  assert.deepEqual(kinds(decideVmi({ vmi: deleted, pods: [], nodes: [node] })), ["finalizer.remove"]);
});

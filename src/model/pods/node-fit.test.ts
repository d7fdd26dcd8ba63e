import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClusterNode, unfitness } from "./node-fit.ts";

const node = (spec: NonNullable<ClusterNode["spec"]> = {}, labels: Record<string, string> = {}): ClusterNode => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n", labels },
  spec,
  status: { conditions: [{ type: "Ready", status: "True" }] },
});

test("a node takes a guest where it is ready and has the labels", () => {
  assert.equal(unfitness(node(), {}), undefined);
  assert.equal(unfitness({ ...node(), status: {} }, {}), "is not ready");
  assert.equal(unfitness(node({}, { zone: "a" }), { nodeSelector: { zone: "a" } }), undefined);
  assert.match(unfitness(node(), { nodeSelector: { zone: "a" } }) ?? "", /labels zone=a/);
});

test("cordon and taints keep guests away that do not tolerate them", () => {
  assert.match(unfitness(node({ unschedulable: true }), {}) ?? "", /kubectl uncordon n/);
  assert.equal(unfitness(node({ unschedulable: true }), { tolerations: [{ operator: "Exists" }] }), undefined);
  const tainted = node({ taints: [{ key: "a", value: "b", effect: "NoSchedule" }] });
  assert.match(unfitness(tainted, {}) ?? "", /the taint a=b:NoSchedule/);
  const with_ = (toleration: object) => unfitness(tainted, { tolerations: [toleration] }) === undefined;
  assert.ok(with_({ key: "a", value: "b" }));
  assert.ok(with_({ key: "a", operator: "Exists", effect: "NoSchedule" }));
  assert.ok(!with_({ key: "a", value: "c" }));
  assert.ok(!with_({ key: "a", value: "b", effect: "NoExecute" }));
  assert.ok(!with_({ value: "b" }));
  assert.equal(unfitness(node({ taints: [{ key: "a", effect: "PreferNoSchedule" }] }), {}), undefined);
});

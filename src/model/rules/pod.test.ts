import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../api/resource.ts";
import { admitPod } from "./pod.ts";

const pod = (spec: object, labels: Record<string, string> = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", labels },
  spec: { containers: [{ name: "a", image: "one" }], ...spec },
});

test("a pod of a user's own is told of, one of a VMI is not", () => {
  assert.match(admitPod(pod({}), undefined).warnings.join(), /stays Pending/);
  assert.deepEqual(admitPod(pod({}, { "kubevirt.io": "virt-launcher" }), undefined).warnings, []);
});

test("of a pod's spec only what may change does", () => {
  const held = pod({ nodeName: "n", terminationGracePeriodSeconds: 30 });
  const changed = (spec: object) => admitPod(pod({ nodeName: "n", ...spec }), held).allowed;
  assert.ok(changed({ terminationGracePeriodSeconds: 0, tolerations: [{ operator: "Exists" }] }));
  assert.ok(changed({ containers: [{ name: "a", image: "two" }] }));
  assert.ok(!changed({ containers: [{ name: "b", image: "one" }] }));
  assert.ok(!changed({ nodeName: "other" }));
  assert.ok(!changed({ hostname: "h" }));
  assert.ok(admitPod(pod({ nodeName: "n" }), pod({})).allowed, "a node is given once");
});

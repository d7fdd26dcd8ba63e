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

test("a new pod is Pending", () => {
  for (const labels of [{}, { "kubevirt.io": "virt-launcher" }]) {
    const answer = admitPod(pod({}, labels), undefined);
    assert.ok(answer.allowed);
    assert.deepEqual(answer.object["status"], { phase: "Pending" });
  }
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

test("of a new pod the names are judged as Kubernetes judges them", () => {
  const refused = (spec: object) => {
    const answer = admitPod(pod(spec), undefined);
    return answer.allowed ? [] : answer.causes.map(({ field, message }) => `${field}: ${message}`);
  };
  const [a, b] = [
    { name: "a", image: "one" },
    { name: "b", image: "two" },
  ];
  const volumes = [{ name: "data", emptyDir: {} }];
  const volumeMounts = [{ name: "data", mountPath: "/data" }];
  assert.deepEqual(refused({ volumes, initContainers: [b], containers: [{ ...a, volumeMounts }] }), []);
  assert.deepEqual(refused({ containers: [a, b, a] }), ['spec.containers[2].name: Duplicate value: "a"']);
  assert.deepEqual(refused({ initContainers: [b, a, b] }), [
    'spec.initContainers[1].name: Duplicate value: "a"',
    'spec.initContainers[2].name: Duplicate value: "b"',
  ]);
  assert.deepEqual(refused({ containers: [] }), ["spec.containers: Required value"]);
  assert.deepEqual(refused({ containers: [{ image: "one" }, { name: "b" }] }), [
    "spec.containers[0].name: Required value",
    "spec.containers[1].image: Required value",
  ]);
  assert.match(
    refused({ containers: [{ ...a, name: "A_b" }] }).join(),
    /^spec\.containers\[0\]\.name: Invalid value: "A_b"/,
  );
  assert.deepEqual(refused({ volumes: [...volumes, ...volumes] }), ['spec.volumes[1].name: Duplicate value: "data"']);
  const mounted = [...volumeMounts, ...volumeMounts, { name: "other", mountPath: "/other" }];
  const ports = ["web", "web"].map((name, index) => ({ name, containerPort: 80 + index }));
  assert.deepEqual(refused({ volumes, containers: [{ ...a, ports, volumeMounts: mounted }] }), [
    'spec.containers[0].ports[1].name: Duplicate value: "web"',
    'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/data": must be unique',
    'spec.containers[0].volumeMounts[2].name: Not found: "other"',
  ]);
});

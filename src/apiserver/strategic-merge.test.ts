import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isApiError } from "../model/api/status.ts";
import { applyStrategicMerge, mergesStrategically } from "./strategic-merge.ts";

const pod = {
  metadata: { labels: { app: "web" }, finalizers: ["a"] },
  spec: {
    containers: [
      { name: "one", image: "one:1", ports: [{ containerPort: 80, protocol: "TCP" }] },
      { name: "two", image: "two:1" },
    ],
    tolerations: [{ key: "a" }],
  },
};

describe("a strategic merge patch", () => {
  test("merges lists by their key and keeps what it does not name", () => {
    const merged = applyStrategicMerge(pod, { spec: { containers: [{ name: "two", image: "two:2" }] } });
    assert.deepEqual(merged, {
      ...pod,
      spec: { ...pod.spec, containers: [pod.spec.containers[0], { name: "two", image: "two:2" }] },
    });
  });

  test("merges ports inside a container by containerPort", () => {
    const merged = applyStrategicMerge(pod.spec, { containers: [{ name: "one", ports: [{ containerPort: 443 }] }] });
    assert.deepEqual(merged, {
      ...pod.spec,
      containers: [
        { name: "one", image: "one:1", ports: [{ containerPort: 80, protocol: "TCP" }, { containerPort: 443 }] },
        pod.spec.containers[1],
      ],
    });
  });

  test("replaces lists without a key, and takes out fields that are null", () => {
    const merged = applyStrategicMerge(pod, { metadata: { labels: null }, spec: { tolerations: [{ key: "b" }] } });
    assert.deepEqual(merged, {
      metadata: { finalizers: ["a"] },
      spec: { ...pod.spec, tolerations: [{ key: "b" }] },
    });
  });

  test("follows $patch: delete and $setElementOrder", () => {
    const merged = applyStrategicMerge(pod.spec, {
      "$setElementOrder/containers": [{ name: "three" }, { name: "two" }],
      containers: [
        { name: "three", image: "three:1" },
        { name: "one", $patch: "delete" },
      ],
    });
    assert.deepEqual(merged, {
      ...pod.spec,
      containers: [{ name: "three", image: "three:1" }, pod.spec.containers[1]],
    });
  });

  test("follows $patch: replace, $retainKeys and $deleteFromPrimitiveList", () => {
    assert.deepEqual(applyStrategicMerge({ a: { b: 1 } }, { a: { $patch: "replace", c: 2 } }), { a: { c: 2 } });
    assert.deepEqual(applyStrategicMerge({ a: { b: 1, c: 1 } }, { a: { $retainKeys: ["b"], b: 2 } }), { a: { b: 2 } });
    const removal = { "$deleteFromPrimitiveList/finalizers": ["a"], finalizers: ["b"] };
    assert.deepEqual(applyStrategicMerge({ finalizers: ["a"] }, removal), { finalizers: ["b"] });
  });

  test("replaces the ports of an EndpointSlice, and merges those of a Service", () => {
    const [one, two] = [{ port: 80 }, { port: 81 }];
    const slice = { kind: "EndpointSlice", ports: [one] };
    assert.deepEqual(applyStrategicMerge(slice, { ports: [two] }), { kind: "EndpointSlice", ports: [two] });
    const service = { kind: "Service", spec: { ports: [one] } };
    const merged = applyStrategicMerge(service, { spec: { ports: [two] } });
    assert.deepEqual(merged, { kind: "Service", spec: { ports: [one, two] } });
  });

  test("follows $patch: replace in a list", () => {
    const pod = { spec: { containers: [{ name: "a" }, { name: "b" }] } };
    const patch = { spec: { containers: [{ $patch: "replace" }, { name: "c" }] } };
    assert.deepEqual(applyStrategicMerge(pod, patch), { spec: { containers: [{ name: "c" }] } });
    assert.deepEqual(applyStrategicMerge(pod, { spec: { containers: [] } }), pod);
  });

  test("refuses unknown directives and elements without their key", () => {
    const refused = (thrown: unknown) => isApiError(thrown, "BadRequest");
    const pod = { containers: [{ name: "a", image: "one" }] };
    for (const element of [{ image: "two" }, { $patch: "delete" }]) {
      assert.throws(() => applyStrategicMerge(pod, { containers: [element] }), refused);
      assert.throws(() => applyStrategicMerge({}, { containers: [element] }), refused);
    }
    assert.throws(() => applyStrategicMerge({}, { $patch: "twist" }), refused);
    assert.throws(() => applyStrategicMerge({}, { $twist: 1 }), refused);
  });

  test("is for Kubernetes' own groups", () => {
    assert.deepEqual(
      ["", "apps", "coordination.k8s.io", "kubevirt.io", "k8s.cni.cncf.io"].map((group) =>
        mergesStrategically({ group }),
      ),
      [true, true, true, false, false],
    );
    // A user's kind may have a group of that form.
    const definedBy = "gateways.gateway.networking.k8s.io";
    assert.equal(mergesStrategically({ group: "gateway.networking.k8s.io", definedBy }), false);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { podReady } from "./core-cells.ts";

test("containers that run beside the others count among a pod's, init containers that end do not", () => {
  const spec = {
    initContainers: [{ name: "setup" }, { name: "beside", restartPolicy: "Always" }],
    containers: [{ name: "one" }, { name: "two" }],
  };
  const init = (ready: boolean) => [
    { name: "setup", ready: true },
    { name: "beside", ready },
  ];
  const one = [{ name: "one", ready: true }];
  assert.equal(podReady({ spec }), "0/3");
  assert.equal(podReady({ spec, status: { initContainerStatuses: init(false), containerStatuses: one } }), "1/3");
  assert.equal(podReady({ spec, status: { initContainerStatuses: init(true), containerStatuses: one } }), "2/3");
  assert.equal(podReady({ spec: { containers: spec.containers }, status: { containerStatuses: one } }), "1/2");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";
import { settingsOf } from "./settings.ts";

test("a value beside the networks' voids the configuration, too", () => {
  const voiding = (configuration: object): (string | undefined)[] => {
    const { at, meant } = settingsOf(configuration).invalid ?? {};
    return at === undefined ? [] : [at.join("."), meant];
  };
  const developer = (developerConfiguration: object): (string | undefined)[] => voiding({ developerConfiguration });
  const at = "developerConfiguration";
  assert.deepEqual(developer({ memoryOvercommit: -1 }), [`${at}.memoryOvercommit`, undefined]);
  assert.deepEqual(developer({ cpuAllocationRatio: -1 }), [`${at}.cpuAllocationRatio`, undefined]);
  assert.deepEqual(developer({ pvcTolerateLessSpaceUpToPercent: 101 }), [
    `${at}.pvcTolerateLessSpaceUpToPercent`,
    undefined,
  ]);
  assert.deepEqual(
    developer({ memoryOvercommit: 0, cpuAllocationRatio: 150, pvcTolerateLessSpaceUpToPercent: 100 }),
    [],
  );
  assert.deepEqual(voiding({ imagePullPolicy: "always" }), ["imagePullPolicy", "Always"]);
  assert.deepEqual(voiding({ imagePullPolicy: "Never" }), []);
  const network = { permitBridgeInterfaceOnPodNetwork: false };
  const voided = { network, developerConfiguration: { memoryOvercommit: -1 } };
  assert.deepEqual(settingsOf(voided).invalid?.at, [at, "memoryOvercommit"]);
  const vmi = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", namespace: "default" },
    spec: { domain: { devices: {}, resources: { requests: { memory: "64Mi" } } } },
  };
  assert.deepEqual(judge("VirtualMachineInstance", vmi, voided).problems, []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";

test("memory encryption is of one kind, and each has firmware that it does not go with", () => {
  const open = { developerConfiguration: { featureGates: ["WorkloadEncryptionSEV", "WorkloadEncryptionTDX"] } };
  const judged = (launchSecurity: object, efi: object, configuration: unknown = open, more: object = {}): string[] => {
    const firmware = { bootloader: { efi: { secureBoot: false, ...efi } } };
    const vmi = {
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { name: "a", namespace: "default" },
      spec: { domain: { devices: {}, resources: { requests: { memory: "64Mi" } }, launchSecurity, firmware, ...more } },
    };
    return judge("VirtualMachineInstance", vmi, configuration).problems.map(
      ({ code, type, field }) => `${code} ${type} ${field}`,
    );
  };
  const refused = (code: string): string => `${code} FieldValueInvalid spec.launchSecurity`;
  const notOne = ["PB2435 FieldValueForbidden spec.launchSecurity"];
  assert.deepEqual(judged({}, {}, {}), notOne);
  assert.deepEqual(judged({ sev: {}, tdx: {} }, {}, {}), notOne);
  // KubeVirt 1.1 knew sev alone, and judged whatever stands in its place.
  const slirp = { network: { defaultNetworkInterface: "slirp", permitSlirpInterface: true } };
  assert.deepEqual(judged({}, {}, slirp), [refused("PB2409")]);
  assert.deepEqual(judged({}, {}, { ...slirp, ...open }), []);
  assert.deepEqual(judged({ sev: {} }, { persistent: true }), []);
  assert.deepEqual(judged({ snp: {} }, { persistent: true, secureBoot: true }, open, { features: { smm: {} } }), [
    refused("PB2410"),
    refused("PB2410"),
  ]);
  assert.deepEqual(judged({ tdx: {} }, { persistent: true }), [refused("PB2410")]);
  assert.deepEqual(judged({ tdx: {} }, { secureBoot: true }, open, { features: { smm: { enabled: true } } }), [
    refused("PB2436"),
  ]);
  assert.deepEqual(judged({ tdx: {} }, {}), []);
});

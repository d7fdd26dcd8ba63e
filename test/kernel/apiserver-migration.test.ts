import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ResourceRef } from "../../src/client/client.ts";
import { makeAdmission } from "../../src/control/admission.ts";
import { withMigrations } from "../../src/control/migration-admission.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import { vmiResource } from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import { makeFolder, type Sample, startSample } from "./apiserver-sample.ts";

const migrations: ResourceRef = { ...vmiResource, plural: "virtualmachineinstancemigrations" };

const { folder, remove } = makeFolder();
let sample: Sample;

before(async () => {
  const admission = withMigrations(
    makeAdmission(() => Promise.resolve({})),
    () => sample.client,
  );
  sample = await startSample(folder, { definitions, admission });
});

after(async () => {
  await sample.stop();
  remove();
});

function migration(name: string, vmiName: string): KubeObject {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstanceMigration",
    metadata: { name, namespace: "default" },
    spec: { vmiName },
  };
}

const says = (pattern: RegExp) => (thrown: unknown) => isApiError(thrown) && pattern.test(thrown.message);

test("a migration is stored and admitted by what its VMI is, and said not to be carried out", async () => {
  await sample.client.create(vmiResource, {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "vm1", namespace: "default" },
    spec: { domain: { devices: {}, resources: { requests: { memory: "64Mi" } } } },
  });
  const at = { namespace: "default", name: "vm1" };
  await assert.rejects(
    sample.client.create(migrations, migration("a", "vm-1")),
    says(/PB2442: .*Did you mean "vm1"\?/),
  );
  const condition = {
    type: "LiveMigratable",
    status: "False",
    reason: "InterfaceNotLiveMigratable",
    message: "why not",
  };
  await sample.client.patchStatus(vmiResource, at, "merge", { status: { conditions: [condition] } });
  await assert.rejects(
    sample.client.create(migrations, migration("a", "vm1")),
    says(/PB2094: Cannot migrate VMI, Reason: InterfaceNotLiveMigratable, Message: why not/),
  );
  const can = { status: { conditions: [{ ...condition, status: "True" }] } };
  await sample.client.patchStatus(vmiResource, at, "merge", can);
  const heard: string[] = [];
  const made = await sample.client.create(migrations, migration("a", "vm1"), {
    warnings: (warnings) => heard.push(...warnings),
  });
  assert.equal(made.metadata.labels?.["kubevirt.io/vmi-name"], "vm1");
  assert.match(heard.join(), /stores a VirtualMachineInstanceMigration and moves nothing/);
  await assert.rejects(sample.client.create(migrations, migration("b", "vm1")), says(/PB2443: .*by "a"/));
  await assert.rejects(
    sample.client.patch(migrations, { namespace: "default", name: "a" }, "merge", { spec: { vmiName: "vm2" } }),
    says(/PB2444/),
  );
  await sample.client.patchStatus(migrations, { namespace: "default", name: "a" }, "merge", {
    status: { phase: "Succeeded" },
  });
  await sample.client.create(migrations, migration("b", "vm1"));
});

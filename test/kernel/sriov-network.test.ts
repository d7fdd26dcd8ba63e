import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { makeEventRecorder } from "../../src/client/events.ts";
import { makeAdmission } from "../../src/control/admission.ts";
import { startSriovNetworkController } from "../../src/control/sriov-network-controller.ts";
import type { NetworkAttachmentDefinition } from "../../src/model/api/attachment.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import { definitionResource, sriovNetworkResource } from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import type { SriovNetwork } from "../../src/model/api/sriov-resources.ts";
import { isApiError } from "../../src/model/api/status.ts";
import type { Stored } from "../../src/model/api/stored.ts";
import { lastFirst } from "../last-first.ts";
import { makeFolder, type Sample, startSample, until } from "./apiserver-sample.ts";

const log = pino({ level: "silent" });

async function startStage(t: TestContext): Promise<Sample> {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const sample = await startSample(folder, { definitions, admission: makeAdmission(async () => ({})) });
  after(() => sample.stop());
  const events = makeEventRecorder(sample.client, "test", log);
  const controller = startSriovNetworkController({ client: sample.client, events, log });
  after(async () => {
    await controller.close();
    await events.flush();
  });
  return sample;
}

function network(name: string, spec: object): KubeObject {
  return {
    apiVersion: "sriovnetwork.openshift.io/v1",
    kind: "SriovNetwork",
    metadata: { name, namespace: "default" },
    spec: { resourceName: "fast", ...spec },
  };
}

async function definitionIn({ client }: Sample, namespace: string, name: string) {
  try {
    return await client.get<Stored<NetworkAttachmentDefinition>>(definitionResource, { namespace, name });
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound")) throw thrown;
    return undefined;
  }
}

async function ready({ client }: Sample, name: string) {
  const stored = await client.get<Stored<SriovNetwork>>(sriovNetworkResource, { namespace: "default", name });
  return stored.status?.conditions?.find(({ type }) => type === "Ready");
}

test("a definition is made of an SriovNetwork, kept in step, moved, and taken away with it", async (t) => {
  const stage = await startStage(t);
  const { client } = stage;
  const ref = { namespace: "default", name: "net" };
  await client.create(sriovNetworkResource, network("net", { spoofChk: "off" }));
  await until("the definition", async () => (await definitionIn(stage, "default", "net")) !== undefined);
  const made = await definitionIn(stage, "default", "net");
  assert.equal(made?.metadata.annotations?.["k8s.v1.cni.cncf.io/resourceName"], "openshift.io/fast");
  assert.equal(JSON.parse(made?.spec?.config ?? "").spoofchk, "off");
  await until("that it is told", async () => (await ready(stage, "net"))?.status === "True");

  await client.patch(sriovNetworkResource, ref, "merge", { spec: { vlan: 7 } });
  const vlanOf = async () => JSON.parse((await definitionIn(stage, "default", "net"))?.spec?.config ?? "{}").vlan;
  await until("the VLAN", async () => (await vlanOf()) === 7);
  // What somebody else does to it is mended.
  await client.patch(definitionResource, ref, "merge", { spec: { config: "{}" } });
  await until("the repair", async () => (await vlanOf()) === 7);
  await client.delete(definitionResource, ref);
  await until("another one", async () => (await vlanOf()) === 7);

  await client.patch(sriovNetworkResource, ref, "merge", { spec: { networkNamespace: "lab" } });
  await until("the want of the namespace", async () => (await ready(stage, "net"))?.reason === "PB6131");
  await until("the end of the former one", async () => (await definitionIn(stage, "default", "net")) === undefined);
  const namespaces = { group: "", version: "v1", plural: "namespaces", namespaced: false };
  await client.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "lab" } });
  await until("the move", async () => (await definitionIn(stage, "lab", "net")) !== undefined);

  await client.delete(sriovNetworkResource, ref);
  await until("the end of both", async () => {
    const left = await client.list(sriovNetworkResource);
    return left.items.length === 0 && (await definitionIn(stage, "lab", "net")) === undefined;
  });
});

test("a definition of that name that is another's stays as it is, and the network says so", async (t) => {
  const stage = await startStage(t);
  const { client } = stage;
  const ref = { namespace: "default", name: "net" };
  await client.create(definitionResource, {
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "net", namespace: "default" },
    spec: { config: '{"type": "bridge"}' },
  });
  await client.create(sriovNetworkResource, network("net", {}));
  await until("the refusal", async () => (await ready(stage, "net"))?.reason === "PB6130");
  assert.match((await ready(stage, "net"))?.message ?? "", /default\/net/);
  await client.delete(sriovNetworkResource, ref);
  await until("its end", async () => (await client.list(sriovNetworkResource)).items.length === 0);
  assert.equal((await definitionIn(stage, "default", "net"))?.spec?.config, '{"type": "bridge"}');
});

test("the API refuses what no node could make of a policy or network", async (t) => {
  const { client } = await startStage(t);
  await assert.rejects(
    client.create(sriovNetworkResource, network("net", { ipam: "{" })),
    (thrown) => isApiError(thrown, "Invalid") && /PB2807/.test(thrown.message),
  );
});

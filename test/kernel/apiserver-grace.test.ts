import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { servedDefinitions } from "../../src/model/api/kinds.ts";
import type { Pod } from "../../src/model/api/pod.ts";
import { podResource, vmiResource } from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import type { Stored } from "../../src/model/api/stored.ts";
import { lastFirst } from "../last-first.ts";
import { makeFolder, startSample } from "./apiserver-sample.ts";

const at = { namespace: "default", name: "slow" };
const held = { ...at, finalizers: ["patchbay.io/test"] };

test("a pod has its grace period, which a second deletion may cut, and other objects have none", async (t) => {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const sample = await startSample(join(folder, "data"), { definitions: servedDefinitions });
  after(() => sample.stop());
  const { client } = sample;
  const deleted = async (gracePeriodSeconds?: number): Promise<readonly [seconds: number | undefined, at: number]> => {
    await client.delete(podResource, at, gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds });
    const { metadata } = await client.get<Stored<Pod>>(podResource, at);
    return [metadata.deletionGracePeriodSeconds, Date.parse(metadata.deletionTimestamp ?? "") / 1_000];
  };
  const made = async (spec: Pod["spec"]): Promise<void> => {
    await client.create(podResource, { apiVersion: "v1", kind: "Pod", metadata: held, spec });
  };
  const gone = async (): Promise<void> => {
    await client.patch(podResource, at, "merge", { metadata: { finalizers: null } });
    await assert.rejects(client.get(podResource, at), (thrown) => isApiError(thrown, "NotFound"));
  };

  await made({ nodeName: "here", terminationGracePeriodSeconds: 3_600, containers: [{ name: "a", image: "b" }] });
  const [whole, first] = await deleted();
  assert.equal(whole, 3_600);
  assert.deepEqual(await deleted(), [3_600, first]);
  assert.deepEqual(await deleted(60), [60, first - 3_540]);
  assert.deepEqual(await deleted(600), [60, first - 3_540], "it is not extended");
  assert.deepEqual(await deleted(-5), [1, first - 3_599]);
  assert.deepEqual(await deleted(0), [0, first - 3_600]);
  await gone();

  await made({ terminationGracePeriodSeconds: 3_600, containers: [{ name: "a", image: "b" }] });
  assert.equal((await deleted(60))[0], 0, "no node has it");
  await gone();
  await made({ nodeName: "here", terminationGracePeriodSeconds: 1e15, containers: [{ name: "a", image: "b" }] });
  const [most, end] = await deleted();
  assert.ok(most !== undefined && Number.isFinite(end));
  await gone();

  const vmi = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: held,
    spec: { terminationGracePeriodSeconds: 60, domain: { devices: {} } },
  };
  await client.create<KubeObject>(vmiResource, vmi);
  await client.delete(vmiResource, at, { gracePeriodSeconds: 60 });
  assert.equal((await client.get<KubeObject>(vmiResource, at)).metadata.deletionGracePeriodSeconds, 0);
});

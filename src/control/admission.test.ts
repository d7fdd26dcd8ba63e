import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdmissionRequest, AdmissionResponse } from "../model/api/admission.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { makeAdmission } from "./admission.ts";

function admitted(
  object: KubeObject,
  more: Partial<AdmissionRequest> = {},
  configuration: unknown = {},
): Promise<AdmissionResponse> {
  const [group = "", version = ""] = object.apiVersion.includes("/")
    ? object.apiVersion.split("/")
    : ["", object.apiVersion];
  const plural = `${object.kind.toLowerCase()}s`;
  return makeAdmission(() => Promise.resolve(configuration))({
    operation: "CREATE",
    group,
    version,
    kind: object.kind,
    plural,
    object,
    user: "u",
    dryRun: false,
    ...more,
  });
}

const vmi: KubeObject = {
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: "a", namespace: "default" },
  spec: { domain: { devices: {}, resources: { requests: { memory: "64Mi" } } } },
};

test("a VMI gets its default NIC and the controller's finalizer", async () => {
  const answer = await admitted(vmi, {}, { network: { defaultNetworkInterface: "masquerade" } });
  assert.ok(answer.allowed);
  assert.deepEqual(answer.object.metadata.finalizers, ["foregroundDeleteVirtualMachine"]);
  assert.deepEqual((answer.object["spec"] as { networks: unknown }).networks, [{ name: "default", pod: {} }]);
});

test("a VMI that breaks a rule is refused with the cause's field", async () => {
  const answer = await admitted({ ...vmi, spec: { ...(vmi["spec"] as object), networks: [{ name: "x", pod: {} }] } });
  assert.ok(!answer.allowed);
  assert.ok(answer.causes.some(({ field }) => field === "spec.networks[0].name"));
});

test("the spec of a VMI stays, its labels may change, and one on its way out is judged by its changes only", async () => {
  const change = { ...vmi, spec: { domain: { devices: {}, resources: { requests: { memory: "65Mi" } } } } };
  assert.equal((await admitted(change, { operation: "UPDATE", oldObject: vmi })).allowed, false);
  const labelled = { ...vmi, metadata: { ...vmi.metadata, labels: { a: "b" } } };
  assert.equal((await admitted(labelled, { operation: "UPDATE", oldObject: vmi })).allowed, true);
  const leaving = {
    ...vmi.metadata,
    deletionTimestamp: "2026-01-01T00:00:00Z",
    annotations: { "patchbay.io/paused": "?" },
  };
  const broken = { ...vmi, metadata: leaving };
  const freed = { ...broken, metadata: { ...leaving, finalizers: [] } };
  assert.equal((await admitted(freed, { operation: "UPDATE", oldObject: broken })).allowed, true);
  assert.equal(
    (await admitted({ ...change, metadata: leaving }, { operation: "UPDATE", oldObject: broken })).allowed,
    false,
  );
});

test("settings guard every VMI made under them that does not say otherwise", async () => {
  const key = "patchbay.io/spoof-guard";
  const settings = { [key]: "True", network: { defaultNetworkInterface: "no binding voids the guard" } };
  const guardOf = async (object: KubeObject, configuration: unknown): Promise<string | undefined> => {
    const answer = await admitted(object, {}, configuration);
    assert.ok(answer.allowed);
    return answer.object.metadata.annotations?.[key];
  };
  const saying = (word: string): KubeObject => ({
    ...vmi,
    metadata: { ...vmi.metadata, annotations: { [key]: word } },
  });
  assert.equal(await guardOf(vmi, settings), "true");
  assert.equal(await guardOf(vmi, {}), undefined);
  assert.equal(await guardOf(saying("false"), settings), "false");
  for (const more of [{}, { operation: "UPDATE", oldObject: vmi } as const]) {
    const refused = await admitted(saying("yes"), more, settings);
    assert.ok(!refused.allowed);
    assert.match(refused.message, /PB1005/);
  }
});

test("annotations that the node acts on are refused where they cannot be read", async () => {
  const annotated = (annotations: Readonly<Record<string, string>>): KubeObject => ({
    ...vmi,
    metadata: { ...vmi.metadata, annotations },
  });
  const good = { "patchbay.io/paused": "true", "patchbay.io/interfaces": '[{"name":"default"}]', "a/b": "c" };
  assert.equal((await admitted(annotated(good))).allowed, true);
  for (const bad of [{ "patchbay.io/paused": "yes" }, { "patchbay.io/interfaces": "none" }]) {
    const answer = await admitted(annotated(bad), { operation: "UPDATE", oldObject: vmi });
    assert.ok(!answer.allowed);
    assert.equal(answer.causes[0]?.field, `metadata.annotations[${Object.keys(bad)[0]}]`);
  }
});

test("a user's own kind is judged by no rule of a built-in one of its name", async () => {
  const foreign = { ...vmi, apiVersion: "example.io/v1", kind: "VirtualMachine", spec: { anything: 1 } };
  const answer = await admitted(foreign);
  assert.ok(answer.allowed);
  assert.equal(answer.object, foreign);
});

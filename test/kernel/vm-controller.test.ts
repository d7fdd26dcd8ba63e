import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { makeEventRecorder } from "../../src/client/events.ts";
import { makeAdmission } from "../../src/control/admission.ts";
import { pauseVmi } from "../../src/control/pause-requests.ts";
import { startVmController } from "../../src/control/vm-controller.ts";
import { restartVm, startVm, stopVm, type VmRequest } from "../../src/control/vm-requests.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import type { Pod } from "../../src/model/api/pod.ts";
import { podResource, vmiResource, vmResource } from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import type { Stored } from "../../src/model/api/stored.ts";
import type { VirtualMachine } from "../../src/model/api/vm.ts";
import type { VirtualMachineInstance } from "../../src/model/api/vmi.ts";
import type { VmiPhase } from "../../src/model/api/vmi-status.ts";
import { lastFirst } from "../last-first.ts";
import { makeFolder, type Sample, startSample, until } from "./apiserver-sample.ts";

type Vm = Stored<VirtualMachine>;
type Vmi = Stored<VirtualMachineInstance>;

const log = pino({ level: "silent" });

/** The API with its admission and the controller; the node is played by writes of VMIs' statuses. */
interface Stage extends Sample {
  /** What admission is told of the cluster. */
  configuration: unknown;
}

async function startStage(t: TestContext): Promise<Stage> {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const settings = { configuration: {} as unknown };
  const admission = makeAdmission(async () => settings.configuration);
  const sample = await startSample(folder, { definitions, admission });
  after(() => sample.stop());
  const events = makeEventRecorder(sample.client, "test", log);
  const controller = startVmController({ client: sample.client, events, log });
  after(async () => {
    await controller.close();
    await events.flush();
  });
  return Object.assign(settings, sample);
}

function vm(name: string, spec: object, template: object = { domain: { devices: {}, memory: { guest: "64Mi" } } }) {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachine",
    metadata: { name, namespace: "default" },
    spec: { ...spec, template: { spec: template } },
  } satisfies KubeObject;
}

function ref(name: string) {
  return { namespace: "default", name };
}

function vmOf({ client }: Stage, name: string): Promise<Vm> {
  return client.get<Vm>(vmResource, ref(name));
}

async function vmiOf({ client }: Stage, name: string): Promise<Vmi | undefined> {
  try {
    return await client.get<Vmi>(vmiResource, ref(name));
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound")) throw thrown;
    return undefined;
  }
}

/** The VMI of a VM once it is there; another one than `before`. */
async function made(stage: Stage, name: string, before?: Vmi): Promise<Vmi> {
  let found: Vmi | undefined;
  await until(`the VMI of ${name}`, async () => {
    found = await vmiOf(stage, name);
    return found !== undefined && found.metadata.uid !== before?.metadata.uid;
  });
  assert.ok(found !== undefined);
  return found;
}

/** As the node tells. */
async function tell({ client }: Stage, vmi: Vmi, phase: VmiPhase): Promise<void> {
  const status = {
    phase,
    conditions: [{ type: "Ready", status: phase === "Running" ? "True" : "False" }],
    phaseTransitionTimestamps: ["Running", phase].map((at) => ({
      phase: at,
      phaseTransitionTimestamp: "2026-01-01T00:00:00Z",
    })),
  };
  await client.patchStatus(vmiResource, vmi.metadata, "merge", { status });
}

async function shows(stage: Stage, name: string, word: string): Promise<void> {
  await until(`${word} of ${name}`, async () => (await vmOf(stage, name)).status?.printableStatus === word);
}

/** The VMI's finalizer is the VMI controller's, which is not here. */
async function letGo({ client }: Stage, vmi: Vmi): Promise<void> {
  await until(
    "the deletion",
    async () => (await client.get<Vmi>(vmiResource, vmi.metadata)).metadata.deletionTimestamp !== undefined,
  );
  await client.patch(vmiResource, vmi.metadata, "merge", { metadata: { finalizers: [] } });
}

async function refused(call: Promise<void>, code: number, message: RegExp): Promise<void> {
  await assert.rejects(call, (thrown) => {
    assert.ok(isApiError(thrown), String(thrown));
    assert.equal(thrown.httpStatus, code, thrown.message);
    assert.match(thrown.message, message);
    return true;
  });
}

const call = (name: string, body: VmRequest["body"] = {}): VmRequest => ({ ...ref(name), body });

test("what start, stop and restart make of each strategy and state", async (t) => {
  const stage = await startStage(t);
  const { client } = stage;
  const requests = async (name: string) =>
    ((await vmOf(stage, name)).status?.stateChangeRequests ?? []).map(({ action }) => action);

  await t.test("Always and Once are stopped by their spec, and started by nobody else", async () => {
    for (const runStrategy of ["Always", "Once"]) {
      const name = runStrategy.toLowerCase();
      await client.create(vmResource, vm(name, { runStrategy }));
      const vmi = await made(stage, name);
      await tell(stage, vmi, "Running");
      await shows(stage, name, "Running");
      await refused(startVm(client, call(name)), 409, /virtualmachine\.kubevirt\.io "\w+": VM is already running/);
      await stopVm(client, call(name, { dryRun: ["All"] }));
      assert.equal((await vmOf(stage, name)).spec.runStrategy, runStrategy, "dry run");
      await stopVm(client, call(name));
      assert.equal((await vmOf(stage, name)).spec.runStrategy, "Halted");
      await letGo(stage, vmi);
      await shows(stage, name, "Stopped");
      await refused(stopVm(client, call(name)), 409, /VM is not running/);
      await refused(restartVm(client, call(name)), 409, /Halted does not support manual restart/);
      await startVm(client, call(name));
      assert.equal((await vmOf(stage, name)).spec.runStrategy, "Always");
      await made(stage, name);
    }
    await client.create(vmResource, vm("lone", { runStrategy: "Once" }));
    await made(stage, "lone");
    await refused(startVm(client, call("lone")), 409, /Once does not support manual start requests/);
    await refused(restartVm(client, call("lone")), 409, /Once does not support manual restart requests/);
  });

  await t.test("running: true and false are spoken in the field that the VM uses", async () => {
    await client.create(vmResource, vm("old", { running: true }));
    const vmi = await made(stage, "old");
    await stopVm(client, call("old"));
    assert.equal((await vmOf(stage, "old")).spec.running, false);
    await letGo(stage, vmi);
    await shows(stage, "old", "Stopped");
    await startVm(client, call("old", { paused: true }));
    const paused = await made(stage, "old", vmi);
    assert.equal(paused.metadata.annotations?.["patchbay.io/paused"], "true");
    const { running, runStrategy } = (await vmOf(stage, "old")).spec;
    assert.deepEqual([running, runStrategy], [true, undefined]);
  });

  await t.test("Manual goes by requests, one after the other", async () => {
    await client.create(vmResource, vm("manual", { runStrategy: "Manual" }));
    await shows(stage, "manual", "Stopped");
    await refused(stopVm(client, call("manual")), 409, /VM is not running/);
    await refused(restartVm(client, call("manual")), 409, /VM is not running/);
    await startVm(client, call("manual"));
    const first = await made(stage, "manual");
    await tell(stage, first, "Running");
    await until("no request", async () => (await requests("manual")).length === 0);
    await restartVm(client, call("manual"));
    await refused(restartVm(client, call("manual")), 409, /stop\/start already underway/);
    await letGo(stage, first);
    const second = await made(stage, "manual", first);
    await until("no request", async () => (await requests("manual")).length === 0);
    await tell(stage, second, "Succeeded");
    await shows(stage, "manual", "Stopped");
    await startVm(client, call("manual"));
    await letGo(stage, second);
    await made(stage, "manual", second);
  });

  await t.test("RerunOnFailure starts by request what has shut down", async () => {
    await client.create(vmResource, vm("rerun", { runStrategy: "RerunOnFailure" }));
    const first = await made(stage, "rerun");
    await tell(stage, first, "Succeeded");
    await letGo(stage, first);
    await shows(stage, "rerun", "Stopped");
    assert.equal(await vmiOf(stage, "rerun"), undefined);
    await startVm(client, call("rerun"));
    const second = await made(stage, "rerun", first);
    await tell(stage, second, "Running");
    await shows(stage, "rerun", "Running");
    await stopVm(client, call("rerun"));
    await letGo(stage, second);
    await shows(stage, "rerun", "Stopped");
    assert.equal((await vmOf(stage, "rerun")).spec.runStrategy, "RerunOnFailure");
  });

  await t.test("a grace period reaches the pod; options that are none are refused", async () => {
    await client.create(vmResource, vm("graceful", { runStrategy: "Always" }));
    const vmi = await made(stage, "graceful");
    await tell(stage, vmi, "Running");
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "launcher", namespace: "default", labels: { "kubevirt.io/created-by": vmi.metadata.uid } },
      spec: { containers: [{ name: "compute", image: "none" }], terminationGracePeriodSeconds: 30 },
    };
    await client.create(podResource, pod);
    await refused(restartVm(client, call("graceful", { gracePeriodSeconds: 3 })), 400, /only gracePeriod=0/);
    await refused(stopVm(client, call("graceful", { gracePeriod: -1 })), 400, /0 or more/);
    await refused(stopVm(client, call("graceful", { gracePeriod: "1" })), 400, /whole number/);
    await refused(startVm(client, call("graceful", { paused: "yes" })), 400, /true or false/);
    await refused(stopVm(client, call("graceful", { dryRun: "All" })), 400, /must be a list/);
    await restartVm(client, call("graceful", { gracePeriodSeconds: 0 }));
    const { spec } = await client.get<Stored<Pod>>(podResource, ref("launcher"));
    assert.equal(spec?.terminationGracePeriodSeconds, 0);
  });

  await t.test("nobody's VM is not found", async () => {
    for (const act of [startVm, stopVm, restartVm]) await refused(act(client, call("none")), 404, /"none" not found/);
    await refused(pauseVmi(client, call("none"), true), 404, /"none" not found/);
  });
});

test("a VMI that is refused is told of, and made once it is not", async (t) => {
  const stage = await startStage(t);
  const { client } = stage;
  const plain = { domain: { devices: {}, memory: { guest: "64Mi" } } };
  await client.create(vmResource, vm("web", { runStrategy: "Always" }, plain));
  const first = await made(stage, "web");
  const status = (await vmOf(stage, "web")).status;
  assert.ok(!status?.conditions?.some(({ type }) => type === "RestartRequired"), "the NIC that was added is no change");
  // Between the VM's admission and its VMI's the cluster forbids the NIC that would be added.
  stage.configuration = { network: { permitBridgeInterfaceOnPodNetwork: false } };
  await tell(stage, first, "Succeeded");
  await letGo(stage, first);
  await until("the refusal", async () => {
    const failure = (await vmOf(stage, "web")).status?.conditions?.find(({ type }) => type === "Failure");
    return failure?.reason === "PB6118" && failure.message?.includes("PB2096") === true;
  });
  assert.equal((await vmOf(stage, "web")).status?.printableStatus, "Stopped");
  stage.configuration = {};
  const domain = { cpu: { cores: 1 } };
  await client.patch(vmResource, ref("web"), "merge", { spec: { template: { spec: { domain } } } });
  await made(stage, "web", first);
  await until("no failure", async () => {
    return (await vmOf(stage, "web")).status?.conditions?.every(({ type }) => type !== "Failure") === true;
  });
});

test("a VMI that a VM left behind, or that was made by hand, is adopted and runs on; one that another controls is not", async (t) => {
  const stage = await startStage(t);
  const { client } = stage;
  const isOf = async (vmi: Vmi, owner: Vm): Promise<boolean> => {
    const { ownerReferences = [], uid } = (await client.get<Vmi>(vmiResource, vmi.metadata)).metadata;
    assert.equal(uid, vmi.metadata.uid);
    return ownerReferences.some((one) => one.uid === owner.metadata.uid && one.controller === true);
  };

  await t.test("after --cascade=orphan", async () => {
    await client.create(vmResource, vm("left", { runStrategy: "Always" }));
    const vmi = await made(stage, "left");
    await tell(stage, vmi, "Running");
    await client.delete(vmResource, { ...ref("left") }, { propagationPolicy: "Orphan" });
    await until("the VM's end", async () => {
      const { items } = await client.list(vmResource);
      return items.length === 0;
    });
    assert.deepEqual((await client.get<Vmi>(vmiResource, ref("left"))).metadata.ownerReferences ?? [], []);
    await client.create(vmResource, vm("left", { runStrategy: "Always" }));
    await shows(stage, "left", "Running");
    assert.ok(await isOf(vmi, await vmOf(stage, "left")));
  });

  await t.test("made by hand, and stopped where the VM is to be halted", async () => {
    const spec = { domain: { devices: {}, memory: { guest: "64Mi" } } };
    const byHand = { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata: ref("hand"), spec };
    await client.create(vmiResource, byHand);
    const vmi = await made(stage, "hand");
    await client.create(vmResource, vm("hand", { runStrategy: "Halted" }));
    await letGo(stage, vmi);
    await shows(stage, "hand", "Stopped");
  });

  await t.test("controlled by another", async () => {
    const spec = { domain: { devices: {}, memory: { guest: "64Mi" } } };
    // A real one, or the collector would take the VMI away.
    const owner = await client.create<KubeObject>(podResource, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: ref("owner"),
      spec: { containers: [{ name: "c", image: "none" }] },
    });
    const { uid = "" } = owner.metadata;
    const ownerReferences = [{ apiVersion: "v1", kind: "Pod", name: "owner", uid, controller: true }];
    await client.create(vmiResource, {
      apiVersion: "kubevirt.io/v1",
      kind: "VirtualMachineInstance",
      metadata: { ...ref("taken"), ownerReferences },
      spec,
    });
    const vmi = await made(stage, "taken");
    await client.create(vmResource, vm("taken", { runStrategy: "Always" }));
    await until("PB6117", async () => {
      const failure = (await vmOf(stage, "taken")).status?.conditions?.find(({ type }) => type === "Failure");
      return failure?.reason === "PB6117" && failure.message?.includes('Pod "owner" controls') === true;
    });
    assert.ok(!(await isOf(vmi, await vmOf(stage, "taken"))));
  });
});

test("fifty VMs come, are restarted at once, and go", async (t) => {
  const stage = await startStage(t);
  const { client } = stage;
  const names = Array.from({ length: 50 }, (_, index) => `vm-${index}`);
  await Promise.all(names.map((name) => client.create(vmResource, vm(name, { runStrategy: "Always" }))));
  const first = await Promise.all(names.map((name) => made(stage, name)));
  await Promise.all(first.map((vmi) => tell(stage, vmi, "Running")));
  await Promise.all(names.map((name) => shows(stage, name, "Running")));
  await Promise.all(names.map((name) => restartVm(client, call(name))));
  await Promise.all(first.map((vmi) => letGo(stage, vmi)));
  const second = await Promise.all(first.map((vmi) => made(stage, vmi.metadata.name, vmi)));
  const kept = (vmi: Vmi) => vmi.metadata.annotations?.["patchbay.io/interfaces"];
  assert.deepEqual(second.map(kept), first.map(kept));
  assert.equal(new Set(second.map(kept)).size, names.length, "each has a MAC of its own");
  await Promise.all(names.map((name) => client.delete(vmResource, ref(name))));
  await Promise.all(second.map((vmi) => letGo(stage, vmi)));
  await until("an empty list", async () => (await client.list(vmResource)).items.length === 0);
  assert.equal((await client.list(vmiResource)).items.length, 0);
});

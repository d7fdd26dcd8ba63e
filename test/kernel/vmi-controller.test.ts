import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import type { KubeClient } from "../../src/client/client.ts";
import { makeEventRecorder } from "../../src/client/events.ts";
import { makeAdmission } from "../../src/control/admission.ts";
import { startVmController } from "../../src/control/vm-controller.ts";
import { startVmiController } from "../../src/control/vmi-controller.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import type { Pod } from "../../src/model/api/pod.ts";
import { eventResource, nodeResource, podResource, vmiResource, vmResource } from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import type { Stored } from "../../src/model/api/stored.ts";
import type { VirtualMachineInstance } from "../../src/model/api/vmi.ts";
import type { ClusterNode } from "../../src/model/pods/node-fit.ts";
import { keepNode } from "../../src/node/registration.ts";
import { lastFirst } from "../last-first.ts";
import { makeFolder, startSample, until } from "./apiserver-sample.ts";

type Vmi = Stored<VirtualMachineInstance>;
type LauncherPod = Stored<Pod>;

const log = pino({ level: "silent" });
const namespace = "default";
const spec = { domain: { devices: {}, memory: { guest: "64Mi" } } };

function vmi(name: string): KubeObject {
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata: { name, namespace }, spec };
}

/** The API with its admission, one node, and the controllers, whose client is `through` another. */
async function startStage(t: TestContext, through = (client: KubeClient): KubeClient => client): Promise<KubeClient> {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const sample = await startSample(folder, { definitions, admission: makeAdmission(async () => ({})) });
  after(() => sample.stop());
  const { client } = sample;
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "n" } };
  await client.create(nodeResource, node);
  const status = { conditions: [{ type: "Ready", status: "True" }] };
  await client.patchStatus(nodeResource, { name: "n" }, "merge", { status });
  const events = makeEventRecorder(client, "test", log);
  const options = { client: through(client), events, log };
  const controllers = [startVmiController(options), startVmController(options)];
  after(async () => {
    await Promise.all(controllers.map((controller) => controller.close()));
    await events.flush();
  });
  return client;
}

async function podsOf(client: KubeClient, of: string): Promise<readonly LauncherPod[]> {
  const { items } = await client.list<LauncherPod>(podResource, { namespace });
  return items.filter(({ metadata }) => metadata.ownerReferences?.some(({ name }) => name === of));
}

function condition(client: KubeClient, name: string, reason: string): Promise<string | undefined> {
  return client
    .get<Vmi>(vmiResource, { namespace, name })
    .then(
      ({ status }) => status?.conditions?.find((one) => one.type === "Synchronized" && one.reason === reason)?.message,
    );
}

async function told(client: KubeClient, reason: string): Promise<readonly unknown[]> {
  const { items } = await client.list<KubeObject>(eventResource, { namespace });
  return items.filter((event) => event["reason"] === reason).map((event) => event["count"]);
}

test("a pod of another that has the name of the VMI's is told of, and waited for", async (t) => {
  const first = Promise.withResolvers<void>();
  const stranger = (pod: KubeObject): KubeObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: pod.metadata.name, namespace },
    spec: { containers: [{ name: "a", image: "a" }] },
  });
  const client = await startStage(t, (plain) => ({
    ...plain,
    async create(resource, object, query) {
      if (resource.plural === "pods") {
        await plain.create(podResource, stranger(object)).catch(() => undefined);
        first.resolve();
      }
      return plain.create(resource, object, query);
    },
  }));
  await client.create(vmiResource, vmi("web"));
  await first.promise;
  await until("the condition", async () => (await condition(client, "web", "PB6119")) !== undefined);
  assert.match(
    (await condition(client, "web", "PB6119")) ?? "",
    /There is a Pod "virt-launcher-web-\w{5}" that does not belong/,
  );
  await until("the event", async () => (await told(client, "PB6119")).length === 1);
  assert.deepEqual(await podsOf(client, "web"), []);
  assert.deepEqual(await told(client, "SuccessfulCreate"), []);
});

test("a pod that the watch has not told of yet is not told of a second time", async (t) => {
  const late = Promise.withResolvers<void>();
  t.after(() => late.resolve());
  let tries = 0;
  const client = await startStage(t, (plain) => ({
    ...plain,
    create(resource, object, query) {
      if (resource.plural === "pods") tries += 1;
      return plain.create(resource, object, query);
    },
    async *watch(resource, query) {
      for await (const event of plain.watch(resource, query)) {
        if (resource.plural === "pods") await late.promise;
        yield event as never;
      }
    },
  }));
  await client.create(vmiResource, vmi("web"));
  await until("the event", async () => (await told(client, "SuccessfulCreate")).length === 1);
  const before = tries;
  await client.patch(vmiResource, { namespace, name: "web" }, "merge", { metadata: { labels: { a: "b" } } });
  await until("another try", async () => tries > before);
  late.resolve();
  await until("the phase", async () => {
    const { status } = await client.get<Vmi>(vmiResource, { namespace, name: "web" });
    return status?.phase === "Scheduled";
  });
  assert.deepEqual(await told(client, "SuccessfulCreate"), [1]);
  assert.equal((await podsOf(client, "web")).length, 1);
});

test("a finalizer that another takes off meanwhile is not brought back with the controller's own", async (t) => {
  let raced = false;
  const answers: unknown[] = [];
  const client = await startStage(t, (plain) => ({
    ...plain,
    async patch(resource, ref, type, patch, query) {
      if (resource.plural === "virtualmachineinstances" && !raced) {
        raced = true;
        const change = [{ op: "remove", path: "/metadata/finalizers/1" }];
        await plain.patch(vmiResource, ref, "json", change);
      }
      return plain.patch<never>(resource, ref, type, patch, query).catch((thrown: unknown) => {
        answers.push(isApiError(thrown) ? thrown.status.reason : thrown);
        throw thrown;
      });
    },
  }));
  const web = { namespace, name: "web" };
  const { metadata } = await client.create<KubeObject>(vmiResource, vmi("web"));
  await until("its pod", async () => (await podsOf(client, "web")).length === 1);
  const finalizers = [...(metadata.finalizers ?? []), "example.io/mine"];
  await client.patch(vmiResource, web, "merge", { metadata: { finalizers } });
  await client.delete(vmiResource, web);
  for (const pod of await podsOf(client, "web")) {
    await client.patch(podResource, pod.metadata, "merge", { metadata: { finalizers: [] } });
  }
  await until("its end", async () => (await client.list(vmiResource)).items.length === 0);
  assert.deepEqual([raced, answers], [true, ["Conflict"]]);
});

test("a VM of the longest name gets a VMI and a pod, and events", async (t) => {
  const client = await startStage(t);
  const name = `${"a".repeat(61)}.${"b".repeat(61)}.${"c".repeat(61)}.${"d".repeat(67)}`;
  assert.equal(name.length, 253);
  const kind = "VirtualMachine";
  const vm = { apiVersion: "kubevirt.io/v1", kind, metadata: { name, namespace } };
  await client.create<KubeObject>(vmResource, { ...vm, spec: { runStrategy: "Always", template: { spec } } });
  await until("the pod", async () => (await podsOf(client, name)).length === 1);
  const [pod] = await podsOf(client, name);
  assert.match(pod?.metadata.name ?? "", /^virt-launcher-a{61}\..*-\w{8}-\w{5}$/);
  assert.match(pod?.metadata.labels?.["vm.kubevirt.io/name"] ?? "", /^a{54}-\w{8}$/);
  await until("the events", async () => (await told(client, "SuccessfulCreate")).length === 2);
});

test("a cordoned node takes no VMI, and the VMI says so until it does", async (t) => {
  const client = await startStage(t);
  await client.patch(nodeResource, { name: "n" }, "merge", { spec: { unschedulable: true } });
  let counter = 0;
  // The controller's cache may still have the node as it was.
  await until("the word of the cordon", async () => {
    counter += 1;
    const { metadata } = await client.create<KubeObject>(vmiResource, vmi(`web-${counter}`));
    const said = async () => {
      const { status } = await client.get<Vmi>(vmiResource, { namespace, name: metadata.name });
      return status?.conditions?.find(({ type }) => type === "PodScheduled");
    };
    await until("its condition", async () => (await said()) !== undefined);
    return (await said())?.message?.includes("n takes no more guests (kubectl uncordon n)") === true;
  });
  const waiting = (await client.list<Vmi>(vmiResource)).items.filter(({ status }) => status?.phase === "Pending");
  assert.ok(waiting.length > 0);
  await client.patch(nodeResource, { name: "n" }, "merge", { spec: { unschedulable: null } });
  const name = waiting[0]?.metadata.name ?? "";
  await until("its pod", async () => (await podsOf(client, name)).length === 1);
});

test("a node that somebody deletes, or whose conditions somebody takes away, is back and ready", async (t) => {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const { client, stop } = await startSample(folder, { definitions });
  after(stop);
  const machine = { nodeName: "here", accel: "tcg", version: "1.2.3", qemu: "7.2.22", pools: () => [] } as const;
  const kept = await keepNode(client, machine, log);
  after(() => kept.close());
  const { status } = await client.get<ClusterNode & KubeObject>(nodeResource, { name: "here" });
  const { kubeletVersion, containerRuntimeVersion, osImage } = status?.nodeInfo ?? {};
  assert.deepEqual([kubeletVersion, containerRuntimeVersion], ["1.2.3", "qemu://7.2.22"]);
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  assert.ok(osImage === "Linux" || release.includes(`PRETTY_NAME="${osImage}"`), String(osImage));
  assert.deepEqual(status?.addresses?.at(-1), { type: "Hostname", address: "here" });
  for (const { type, address } of status?.addresses?.slice(0, -1) ?? []) {
    assert.equal(type, "InternalIP");
    assert.notEqual(isIP(address), 0, address);
  }
  const isReady = async (): Promise<boolean> => {
    const { items } = await client.list<ClusterNode & KubeObject>(nodeResource);
    return items.some(({ status }) =>
      status?.conditions?.some((one) => one.type === "Ready" && one["status"] === "True"),
    );
  };
  assert.ok(await isReady());
  await client.delete(nodeResource, { name: "here" });
  await until("the node again", isReady);
  await client.patchStatus(nodeResource, { name: "here" }, "merge", { status: { conditions: [] } });
  await until("its readiness again", isReady);
});

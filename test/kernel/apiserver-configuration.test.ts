import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import pino from "pino";
import type { KubeClient } from "../../src/client/client.ts";
import { makeAdmission } from "../../src/control/admission.ts";
import { type Configuration, makeConfiguration } from "../../src/control/configuration.ts";
import { startKubeVirtController } from "../../src/control/kubevirt-controller.ts";
import { instanceFrom, makeSurroundings } from "../../src/control/surroundings.ts";
import { withWholePath } from "../../src/control/whole-path-admission.ts";
import { definitions } from "../../src/model/api/kinds.ts";
import {
  configMapResource,
  definitionResource,
  kubeVirtResource,
  vmiResource,
} from "../../src/model/api/references.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import { isApiError } from "../../src/model/api/status.ts";
import type { Stored } from "../../src/model/api/stored.ts";
import { makeFolder, type Sample, startSample, until } from "./apiserver-sample.ts";

const { folder, remove } = makeFolder();
let sample: Sample;
let configuration: Configuration;
const surroundings = makeSurroundings(pino({ level: "silent" }));

before(async () => {
  configuration = makeConfiguration(pino({ level: "silent" }));
  const admission = withWholePath(
    configuration.admission(makeAdmission(() => configuration.current())),
    surroundings,
    () => configuration.current(),
  );
  sample = await startSample(folder, { definitions, admission });
  await configuration.follow(sample.client);
  await surroundings.follow(sample.client);
});

after(async () => {
  configuration.close();
  surroundings.close();
  await sample.stop();
  remove();
});

let counter = 0;

/** The default binding is what the settings in force say. */
async function bindingGiven(client: KubeClient = sample.client): Promise<string> {
  counter += 1;
  const created: KubeObject = await client.create<KubeObject>(vmiResource, {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: `vm${counter}`, namespace: "default" },
    spec: { domain: { devices: {}, resources: { requests: { memory: "64Mi" } } } },
  });
  const spec = created["spec"] as { domain: { devices: { interfaces: Record<string, unknown>[] } } };
  return Object.keys(spec.domain.devices.interfaces[0] ?? {}).filter((key) => key !== "name")[0] ?? "";
}

function kubeVirt(settings: object): KubeObject {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "KubeVirt",
    metadata: { name: "kubevirt", namespace: "default" },
    spec: { configuration: settings },
  };
}

const configMap = (word: string): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "kubevirt-config", namespace: "default" },
  data: { "default-network-interface": word },
});

test("a change of the settings governs the very next admission, wherever they stand", async () => {
  const at = { namespace: "default", name: "kubevirt" };
  assert.equal(await bindingGiven(), "bridge");
  await sample.client.create(kubeVirtResource, kubeVirt({ network: { defaultNetworkInterface: "masquerade" } }));
  assert.equal(await bindingGiven(), "masquerade");
  for (const word of ["bridge", "masquerade", "bridge", "masquerade"]) {
    const patch = { spec: { configuration: { network: { defaultNetworkInterface: word } } } };
    await sample.client.patch(kubeVirtResource, at, "merge", patch);
    assert.equal(await bindingGiven(), word);
  }
  await sample.client.create(configMapResource, configMap("bridge"));
  assert.equal(await bindingGiven(), "bridge", "the older ConfigMap wins");
  await sample.client.delete(configMapResource, { namespace: "default", name: "kubevirt-config" });
  assert.equal(await bindingGiven(), "masquerade");
  await sample.client.delete(kubeVirtResource, at);
  assert.equal(await bindingGiven(), "bridge");
});

test("a write of settings that is acknowledged holds, whatever was asked while it was under way, and however late the watch is", async (t) => {
  const place = makeFolder();
  const late = Promise.withResolvers<void>();
  const admitted = Promise.withResolvers<void>();
  const stored = Promise.withResolvers<void>();
  const following = makeConfiguration(pino({ level: "silent" }));
  const judge = following.admission(makeAdmission(() => following.current()));
  const api = await startSample(place.folder, {
    definitions,
    admission: async (request) => {
      const answer = await judge(request);
      if (request.kind === "KubeVirt") {
        admitted.resolve();
        await stored.promise;
      }
      return answer;
    },
  });
  t.after(async () => {
    late.resolve();
    following.close();
    await api.stop();
    place.remove();
  });
  const { client } = api;
  await following.follow({
    ...client,
    async *watch(resource, query) {
      for await (const event of client.watch(resource, query)) {
        await late.promise;
        yield event as never;
      }
    },
  });
  const writing = client.create(kubeVirtResource, kubeVirt({ network: { defaultNetworkInterface: "masquerade" } }));
  await admitted.promise;
  assert.equal(await bindingGiven(client), "bridge", "not stored yet");
  stored.resolve();
  await writing;
  const given = await Promise.all([1, 2, 3, 4].map(() => bindingGiven(client)));
  assert.deepEqual(given, Array(4).fill("masquerade"));
  assert.equal(await bindingGiven(client), "masquerade", "asked again, still before the watch");
  await client.delete(kubeVirtResource, { namespace: "default", name: "kubevirt" });
  assert.equal(await bindingGiven(client), "bridge");
});

test("a kind of another group that is called KubeVirt or ConfigMap gives no settings", async () => {
  const judge = configuration.admission(async ({ object }) => ({ allowed: true, object, warnings: ["asked"] }));
  const object = kubeVirt({ network: { defaultNetworkInterface: "Masquerade" } });
  const request = { group: "example.io", version: "v1", kind: "KubeVirt", plural: "kubevirts", object } as const;
  const answer = await judge({ ...request, operation: "CREATE", user: "me", dryRun: false });
  assert.deepEqual(answer, { allowed: true, object, warnings: ["asked"] });
});

test("a KubeVirt resource says that it is deployed, as scripts wait for", async (t) => {
  const controller = startKubeVirtController({ client: sample.client, log: pino({ level: "silent" }) });
  t.after(() => controller.close());
  const at = { namespace: "default", name: "kubevirt" };
  await sample.client.create(kubeVirtResource, kubeVirt({}));
  type Installation = KubeObject & { status?: { phase?: string; conditions?: { type: string; status: string }[] } };
  const status = async () => (await sample.client.get<Installation>(kubeVirtResource, at)).status;
  await until("the phase", async () => (await status())?.phase === "Deployed");
  await sample.client.patchStatus(kubeVirtResource, at, "merge", { status: { conditions: [] } });
  await until("the conditions again", async () => (await status())?.conditions?.length === 4);
  const available = (await status())?.conditions?.find(({ type }) => type === "Available");
  assert.equal(available?.status, "True");
  await sample.client.delete(kubeVirtResource, at);
});

test("settings that would count as empty are refused, and those in force stay", async () => {
  const says = (thrown: unknown): boolean =>
    isApiError(thrown, "Invalid") && /PB2304: .*"Masquerade" is none of/.test(thrown.message);
  const bad = kubeVirt({ network: { defaultNetworkInterface: "Masquerade" } });
  await assert.rejects(sample.client.create(kubeVirtResource, bad), says);
  await assert.rejects(sample.client.create(configMapResource, configMap("Masquerade")), says);
  assert.equal(await bindingGiven(), "bridge");
});

test("a gate with other capitals is taken with a warning that names the right ones", async () => {
  const told: string[] = [];
  const gated = kubeVirt({ developerConfiguration: { featureGates: ["passt"] } });
  await sample.client.create(kubeVirtResource, gated, { warnings: (warnings) => told.push(...warnings) });
  assert.match(told.join("\n"), /PB2305: .*featureGates\[0\].*"passt" opens nothing.*Write "Passt"/);
});

test("a second KubeVirt resource is refused; beside a ConfigMap it is told which one governs", async () => {
  // The one of an earlier test, or none.
  const { items } = await sample.client.list<Stored<KubeObject>>(kubeVirtResource);
  for (const { metadata } of items) await sample.client.delete(kubeVirtResource, metadata);
  const at = { namespace: "default", name: "kubevirt" };
  const told: string[] = [];
  const warnings = (more: readonly string[]): void => void told.push(...more);
  await sample.client.create(kubeVirtResource, kubeVirt({}), { warnings });
  assert.deepEqual(told, []);
  const second = { ...kubeVirt({}), metadata: { name: "another", namespace: "default" } };
  await assert.rejects(
    sample.client.create(kubeVirtResource, second),
    (thrown) =>
      isApiError(thrown, "BadRequest") && /PB2309: .*KubeVirt default\/kubevirt is there/.test(thrown.message),
  );
  await assert.rejects(sample.client.create(kubeVirtResource, kubeVirt({})), (thrown) =>
    isApiError(thrown, "AlreadyExists"),
  );
  await sample.client.create(configMapResource, configMap("bridge"), { warnings });
  assert.match(told.join("\n"), /^.*PB2309: While this ConfigMap is there, the KubeVirt default\/kubevirt counts/);
  told.length = 0;
  const patch = { spec: { configuration: { network: { defaultNetworkInterface: "masquerade" } } } };
  await sample.client.patch(kubeVirtResource, at, "merge", patch, { warnings });
  assert.match(told.join("\n"), /PB2309: It counts for nothing while the ConfigMap default\/kubevirt-config is there/);
  await sample.client.delete(configMapResource, { namespace: "default", name: "kubevirt-config" });
  told.length = 0;
  await sample.client.patch(kubeVirtResource, at, "merge", { spec: { configuration: null } }, { warnings });
  assert.deepEqual(told, []);
  await sample.client.delete(kubeVirtResource, at);
});

test("keys and plugin settings that come to nothing are taken with a warning", async () => {
  const told: string[] = [];
  const warnings = (more: readonly string[]): void => void told.push(...more);
  const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kubevirt-config", namespace: "default" } };
  await sample.client.create(configMapResource, { ...map, data: { "feature-gate": "Sidecar" } }, { warnings });
  await sample.client.delete(configMapResource, map.metadata);
  assert.match(told.join("\n"), /PB2308.*feature-gates/);
});

test("what a VMI lacks around it is told as a warning, and it is stored all the same", async () => {
  const told = async (networkName: string, macAddress?: string): Promise<string> => {
    const warned: string[] = [];
    counter += 1;
    await sample.client.create(
      vmiResource,
      {
        apiVersion: "kubevirt.io/v1",
        kind: "VirtualMachineInstance",
        metadata: { name: `vm${counter}`, namespace: "default" },
        spec: {
          domain: {
            devices: { interfaces: [{ name: "a", bridge: {}, ...(macAddress === undefined ? {} : { macAddress }) }] },
            resources: { requests: { memory: "64Mi" } },
          },
          networks: [{ name: "a", multus: { networkName } }],
        },
      },
      { warnings: (warnings) => warned.push(...warnings) },
    );
    return warned.join("\n");
  };
  assert.match(await told("lan"), /PB2701: spec\.networks\[0\]\.multus\.networkName: .*default\/lan, which is nowhere/);
  await sample.client.create(definitionResource, {
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "lan", namespace: "default" },
    spec: { config: '{"cniVersion": "1.0.0", "name": "lan", "type": "macvlan"}' },
  });
  assert.match(await told("lan"), /PB2709: /, "only what is unwise is left");
  assert.match(await told("lann"), /Did you mean "lan"\?/);
  assert.ok(!(await told("lan", "02:00:00:00:00:77")).includes("PB2712"));
  const shared = /PB2712: .*VirtualMachineInstance default\/vm/;
  assert.match(await told("lan", "02-00-00-00-00-77"), shared);
  for (let last = 0x80; last < 0x90; last += 1) {
    const mac = `02:00:00:00:00:${last.toString(16)}`;
    assert.ok(!shared.test(await told("lan", mac)));
    assert.match(await told("lan", mac), shared, "however late the watch is");
  }
});

test("whose MAC it is is known without reading all that is stored, and forgotten with its object", async (t) => {
  const asked: string[] = [];
  const near = makeSurroundings(pino({ level: "silent" }));
  t.after(() => near.close());
  const { client } = sample;
  const counted: KubeClient = {
    ...client,
    list: (resource, query) => {
      asked.push(resource.plural);
      return client.list(resource, query);
    },
  };
  await near.follow(counted);
  const before = asked.length;
  const vmi = (name: string): KubeObject => ({
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name, namespace: "default" },
    spec: {
      domain: {
        devices: { interfaces: [{ name: "a", bridge: {}, macAddress: "02:00:00:00:01:00" }] },
        resources: { requests: { memory: "64Mi" } },
      },
      networks: [{ name: "a", multus: { networkName: "lan" } }],
    },
  });
  const names = async (): Promise<readonly unknown[]> => {
    const instance = instanceFrom(vmi("another"));
    assert.ok(instance !== undefined);
    const documents = await near.around(instance, {});
    return documents.map(({ value }) => (value["metadata"] as { name: string }).name);
  };
  await client.create(vmiResource, vmi("first"));
  await until("the watch's word of the VMI", async () => (await names()).includes("first"));
  assert.deepEqual(await names(), ["lan", "first"], "neither the other definitions nor the other VMIs");
  await client.patch(vmiResource, { namespace: "default", name: "first" }, "merge", { metadata: { finalizers: [] } });
  await client.delete(vmiResource, { namespace: "default", name: "first" });
  assert.deepEqual(await names(), ["lan"]);
  const expected = { ...vmi("expected"), metadata: { name: "expected", namespace: "default", uid: "u" } };
  near.expect(expected);
  assert.deepEqual(await names(), ["lan"], "what never came is not told of");
  assert.equal(asked.length, before);
});

test("what is told of the host is a warning, and a host that does not answer holds nothing up", async () => {
  const object: KubeObject = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "hosted", namespace: "default" },
    spec: { domain: { devices: {} } },
  };
  const request = {
    group: "kubevirt.io",
    version: "v1",
    kind: object.kind,
    plural: "virtualmachineinstances",
  } as const;
  const warned = async (host: () => Promise<readonly string[]>, oldObject?: KubeObject): Promise<readonly string[]> => {
    const next = async () => ({ allowed: true, object, warnings: ["first"] }) as const;
    const judge = withWholePath(next, surroundings, async () => ({}), host);
    const written =
      oldObject === undefined ? { operation: "CREATE" as const } : { operation: "UPDATE" as const, oldObject };
    const answer = await judge({ ...request, ...written, object, user: "me", dryRun: true });
    assert.ok(answer.allowed);
    return answer.warnings;
  };
  assert.deepEqual(await warned(async () => ["PB5001: none"]), ["first", "PB5001: none"]);
  assert.deepEqual(await warned(async () => ["PB5001: none"], object), ["first"], "its spec is as it was");
  assert.deepEqual(await warned(() => new Promise(() => {})), ["first"]);
});

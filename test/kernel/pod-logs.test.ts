import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { podSubresources } from "../../src/cli/pod-subresources.ts";
import { loadKubeconfig } from "../../src/client/kubeconfig.ts";
import type { KubeObject } from "../../src/model/api/resource.ts";
import type { Stored } from "../../src/model/api/stored.ts";
import type { VirtualMachineInstance } from "../../src/model/api/vmi.ts";
import { launcherPod } from "../../src/model/pods/launcher-pod.ts";
import { forgetPodLogs, keepPodLogs, podsWithKeptLogs } from "../../src/node/pod-logs.ts";
import { openPodRecords, type PodRecord } from "../../src/node/records.ts";
import { makeFolder, pods, type Sample, startSample, until } from "./apiserver-sample.ts";

const vmi: Stored<VirtualMachineInstance> = {
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: "guest", namespace: "default", uid: "u", resourceVersion: "1" },
  spec: { domain: { devices: {} } },
};

const launcher = (of: Stored<VirtualMachineInstance>, suffix: string): KubeObject =>
  launcherPod(of, "node", suffix) as KubeObject;

interface Bench {
  readonly sample: Sample;
  readonly podName: string;
  /** The pod's guest has begun: the record and the files are there. */
  begin(): void;
  end(): void;
  /** The guest has ended, and its pod stays. */
  keep(): Promise<void>;
  /** The pod goes. */
  forget(): void;
  /** UIDs of pods of which logs are kept. */
  kept(): readonly string[];
  /** HTTP status, and the text or the message of the Status; `heard` is called when something of it is there. */
  logs(query: string, name?: string, heard?: () => void): Promise<readonly [code: number, text: string]>;
}

/** An API server with the logs of one pod, whose guest is but its record and its files. */
async function startBench(t: TestContext): Promise<Bench> {
  const { folder, remove } = makeFolder();
  t.after(remove);
  const [logsDir, runDir] = [join(folder, "logs"), join(folder, "guests/u")];
  const records = openPodRecords(join(folder, "pods"));
  const sample: Sample = await startSample(folder, {
    subresources: podSubresources({ client: () => sample.client, logsDir, records }),
  });
  t.after(() => sample.stop());
  const made = await sample.client.create(pods, launcher(vmi, "abc"));
  const { name } = made.metadata;
  const podUid = made.metadata.uid ?? "";
  const record: PodRecord = {
    version: 1,
    podUid,
    pod: { namespace: "default", name },
    vmi: { namespace: "default", name: "guest", uid: "u" },
    netns: "/run/netns/none",
    stage: "guest",
    guest: { pid: 1, startTime: 0, uuid: "u", runDir, logFile: join(logsDir, `${podUid}.log`) },
  };
  const { server, token, caPem } = loadKubeconfig(sample.kubeconfig);
  return {
    sample,
    podName: name,
    begin() {
      mkdirSync(runDir, { recursive: true });
      writeFileSync(join(logsDir, `${podUid}.log`), "qemu: one\nqemu: two\n");
      writeFileSync(join(runDir, "console.log"), "boot\r\nlogin: ");
      records.put(record);
    },
    end: () => records.remove(podUid),
    async keep() {
      await keepPodLogs({ logsDir, records }, record);
      rmSync(runDir, { recursive: true });
      rmSync(record.guest?.logFile ?? "");
      // As one that could not give everything back at first does it.
      await keepPodLogs({ logsDir, records }, record);
      records.remove(podUid);
    },
    forget: () => forgetPodLogs({ logsDir }, podUid),
    kept: () => podsWithKeptLogs({ logsDir }),
    logs: (query, of = name, heard = () => undefined) =>
      new Promise((resolve, reject) => {
        const path = `/api/v1/namespaces/default/pods/${of}/log?${query}`;
        const headers = { authorization: `Bearer ${token ?? ""}` };
        const call = request(`${server}${path}`, { ...(caPem === undefined ? {} : { ca: caPem }), headers });
        call.on("error", reject).on("response", (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk;
            heard();
          });
          response.on("end", () => {
            const code = response.statusCode ?? 0;
            resolve([code, code === 200 ? text : JSON.parse(text).message]);
          });
        });
        call.end();
      }),
  };
}

test("a pod's containers tell what QEMU and the guest's console printed, in part and as they grow", async (t) => {
  const { begin, end, logs, podName } = await startBench(t);
  begin();
  assert.deepEqual(await logs(""), [200, "qemu: one\nqemu: two\n"]);
  assert.deepEqual(await logs("container=compute&tailLines=1"), [200, "qemu: two\n"]);
  assert.deepEqual(await logs("container=guest-console-log&limitBytes=8"), [200, "boot\r\nlo"]);
  assert.deepEqual(await logs("sinceSeconds=3600&stream=All&limitBytes=9000"), [200, "qemu: one\nqemu: two\n"]);
  assert.deepEqual(await logs("sinceTime=2020-01-01T00:00:00Z&tailLines=0"), [200, ""]);
  assert.deepEqual(await logs("follow=true&limitBytes=9"), [200, "qemu: one"]);
  assert.deepEqual(await logs("container=guest-console-log&follow=true&tailLines=1", podName, end), [200, "login: "]);
});

test("of a guest that has ended the end of each log stays as long as its pod", async (t) => {
  const { begin, keep, forget, kept, logs, sample } = await startBench(t);
  begin();
  writeFileSync(join(sample.folder, "guests/u/console.log"), `first${"x".repeat(1 << 20)}last`);
  assert.deepEqual(kept(), []);
  await keep();
  assert.deepEqual(await logs("follow=true"), [200, "qemu: one\nqemu: two\n"]);
  const [code, text] = await logs("container=guest-console-log");
  assert.deepEqual([code, text.length, text.slice(-5)], [200, 1 << 20, "xlast"]);
  assert.equal(kept().length, 1);
  forget();
  assert.deepEqual(kept(), []);
  assert.match((await logs(""))[1], /is waiting to start/);
});

test("what cannot be told is refused in Kubernetes' words", async (t) => {
  const { begin, logs, podName, sample } = await startBench(t);
  const refused = async (query: string, message: string, name?: string): Promise<void> =>
    assert.deepEqual(await logs(query, name), [message.startsWith("pods ") ? 404 : 400, message]);
  await refused("", 'pods "none" not found', "none");
  await refused("", `container "compute" in pod "${podName}" is waiting to start: ContainerCreating`);
  begin();
  await refused("container=other", `container other is not valid for pod ${podName}`);
  await refused("previous=true", `previous terminated container "compute" in pod "${podName}" not found`);
  await refused("timestamps=true", "timestamps: Forbidden: when a line was printed is not recorded; leave it out");
  const later = "Forbidden: when a line was printed is not recorded: only a time before the pod's beginning can be";
  await refused("sinceTime=2999-01-01T00:00:00Z", `sinceTime: ${later}; leave it out`);
  await until("the pod to be older than a second", async () => (await logs("sinceSeconds=1"))[0] === 400);
  await refused("sinceSeconds=1", `sinceSeconds: ${later}; leave it out`);
  await refused("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0");
  await refused("sinceTime=noon", 'sinceTime: Invalid value: "noon": must be a time of RFC 3339');
  await refused("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0");
  await refused("tailLines=-1", 'tailLines: Invalid value: "-1": must be a whole number');
  await refused("stream=Stdout", 'stream: Unsupported value: "Stdout": supported values: "All"');
  const both = "sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z";
  await refused(both, "at most one of `sinceTime` or `sinceSeconds` may be specified");

  const { domain } = vmi.spec;
  const silent = { ...vmi, spec: { domain: { ...domain, devices: { logSerialConsole: false } } } };
  const { metadata } = await sample.client.create(pods, launcher(silent, "xyz"));
  const none = `container guest-console-log is not valid for pod ${metadata.name}`;
  await refused("container=guest-console-log", none, metadata.name);
  await sample.client.create(pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "own", namespace: "default" },
    spec: { containers: [{ name: "a" }, { name: "b" }] },
  });
  await refused("", "a container name must be specified for pod own, choose one of: [a b]", "own");
  const idle = 'container "a" in pod "own" is waiting to start: this version of Patchbay runs the pods of VMIs only';
  await refused("container=a", idle, "own");
  await sample.client.updateStatus(pods, { ...(await sample.client.get(pods, metadata)), status: { phase: "Failed" } });
  assert.match((await logs("", metadata.name))[1], /has ended, and what was printed is not kept/);
});

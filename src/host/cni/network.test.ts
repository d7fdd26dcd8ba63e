import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Fault } from "../../model/fault.ts";
import { type CniNetwork, parseCniObject } from "../../model/networks/cni-config.ts";
import { recordPath } from "./attachment-record.ts";
import type { CniHost } from "./invocation.ts";
import { addNetwork, cachedNetwork, checkNetwork, delNetwork, listCached } from "./network.ts";

const folder = mkdtempSync(join(tmpdir(), "patchbay-cni-network-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

interface Call {
  readonly plugin: string;
  readonly command: string;
  readonly netns: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/** A folder of plugins that note what they were called with; `scripts` replaces what they then do. */
function world(scripts: Readonly<Record<string, string>> = {}): {
  readonly host: CniHost;
  readonly calls: () => Call[];
  readonly replace: (name: string, script: string) => void;
} {
  const dir = join(folder, String(count++));
  const bin = join(dir, "bin");
  mkdirSync(bin, { recursive: true });
  const log = join(dir, "log");
  writeFileSync(log, "");
  const replace = (name: string, script: string): void => {
    const note = `printf '{"plugin":"${name}","command":"%s","netns":"%s","input":%s}\\n' "$CNI_COMMAND" "$CNI_NETNS" "$(cat)" >> ${log}`;
    writeFileSync(join(bin, name), `#!/bin/sh\n${note}\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  for (const name of ["one", "two", "three"]) {
    replace(name, scripts[name] ?? `[ $CNI_COMMAND != ADD ] || echo '${JSON.stringify(answer(name))}'`);
  }
  return {
    host: { cacheDir: join(dir, "cni"), binDirs: [bin] },
    calls: () =>
      readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line): Call => JSON.parse(line)),
    replace,
  };
}

function answer(name: string): object {
  return { cniVersion: "1.0.0", interfaces: [{ name }], ips: [{ address: "10.1.0.2/24" }] };
}

function network(cniVersion = "1.0.0", types: readonly string[] = ["one", "two", "three"]): CniNetwork {
  const plugins = types.map((type) => ({ type, ...(type === "two" ? { capabilities: { portMappings: true } } : {}) }));
  const { network, problems } = parseCniObject({ cniVersion, name: "net", plugins });
  assert.ok(network !== undefined, JSON.stringify(problems));
  return network;
}

const pod = { containerId: "pod1", ifName: "eth0", netns: "/run/netns/patchbay-no-such" };
const failure = (words: string): string => `echo '{"code":100,"msg":"${words}"}'; exit 1`;

async function fault(running: Promise<unknown>, code: string): Promise<Fault> {
  const thrown: unknown = await running.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  assert.ok(thrown instanceof Fault, String(thrown));
  assert.equal(thrown.code, code, thrown.message);
  return thrown;
}

const order = (calls: readonly Call[]): string[] => calls.map(({ command, plugin }) => `${command} ${plugin}`);

test("adds in order with prevResult, deletes in reverse order with the last result", async () => {
  const { host, calls } = world();
  const runtimeConfig = { portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }], mac: "02::" };
  const added = await addNetwork({ ...pod, network: network(), runtimeConfig }, host);
  assert.deepEqual(added.result.interfaces, [{ name: "three" }]);
  assert.deepEqual(cachedNetwork(pod, host.cacheDir), added);
  assert.equal(await delNetwork(pod, host), true);
  const said = calls();
  assert.deepEqual(order(said), ["ADD one", "ADD two", "ADD three", "DEL three", "DEL two", "DEL one"]);
  const previous = said.map(({ input }) => input["prevResult"]);
  assert.deepEqual(previous, [undefined, answer("one"), answer("two"), ...Array(3).fill(answer("three"))]);
  assert.deepEqual(said[1]?.input["runtimeConfig"], { portMappings: runtimeConfig.portMappings });
  assert.deepEqual([said[0]?.input["runtimeConfig"], said[1]?.input["capabilities"]], [undefined, undefined]);
  assert.deepEqual([said[0]?.input["name"], said[0]?.input["cniVersion"]], ["net", "1.0.0"]);
  // The namespace is none: only DEL is spared it.
  assert.deepEqual([said[0]?.netns, said[5]?.netns], [pod.netns, ""]);
});

test("deleting twice is nothing the second time", async () => {
  const { host, calls } = world();
  await addNetwork({ ...pod, network: network() }, host);
  assert.equal(await delNetwork(pod, host), true);
  assert.equal(await delNetwork(pod, host), false);
  assert.equal(calls().length, 6);
  assert.deepEqual(listCached(host.cacheDir), { attachments: [], damaged: [] });
});

test("before 0.4.0 a DEL has no prevResult and there is no CHECK", async () => {
  const { host, calls } = world({ one: `[ $CNI_COMMAND != ADD ] || echo '{"cniVersion":"0.3.1"}'` });
  await addNetwork({ ...pod, network: network("0.3.1", ["one"]) }, host);
  assert.equal(await checkNetwork(pod, host), false);
  await delNetwork(pod, host);
  assert.deepEqual(
    calls().map(({ command, input }) => [command, input["prevResult"]]),
    [
      ["ADD", undefined],
      ["DEL", undefined],
    ],
  );
});

test("hands a result on in the configuration's version", async () => {
  const { host, calls } = world({
    one: `[ $CNI_COMMAND != ADD ] || echo '{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.2/24"}}'`,
  });
  await addNetwork({ ...pod, network: network("1.0.0", ["one", "two"]) }, host);
  assert.deepEqual(calls()[1]?.input["prevResult"], {
    cniVersion: "1.0.0",
    interfaces: [],
    ips: [{ address: "10.1.0.2/24" }],
    routes: [],
    dns: {},
  });
});

test("a later plugin's failure undoes the earlier ones and leaves no record", async () => {
  const { host, calls } = world({ two: `[ $CNI_COMMAND = DEL ] || { ${failure("no luck")}; }` });
  const { message } = await fault(addNetwork({ ...pod, network: network() }, host), "PB3000");
  assert.match(message, /"two" \(ADD of the network "net"\) failed: no luck \(CNI error code 100\)/);
  assert.deepEqual(order(calls()), ["ADD one", "ADD two", "DEL two", "DEL one"]);
  assert.deepEqual(listCached(host.cacheDir).attachments, []);
});

test("a failed undo is told, and its record stays until a DEL succeeds", async () => {
  const { host, calls, replace } = world({
    one: `[ $CNI_COMMAND = ADD ] && echo '{}' || { ${failure("stuck")}; }`,
    two: failure("no luck"),
  });
  const { data } = await fault(addNetwork({ ...pod, network: network() }, host), "PB3000");
  assert.match(JSON.stringify(data["left"]), /stuck/);
  assert.deepEqual(
    listCached(host.cacheDir).attachments.map(({ containerId, finished }) => [containerId, finished]),
    [["pod1", false]],
  );
  const { message } = await fault(delNetwork(pod, host), "PB3000");
  assert.match(message, /no luck.*stuck/);
  for (const name of ["one", "two"]) replace(name, "exit 0");
  assert.equal(await delNetwork(pod, host), true);
  assert.deepEqual(order(calls()).slice(-3), ["DEL three", "DEL two", "DEL one"]);
  assert.deepEqual(listCached(host.cacheDir).attachments, []);
});

test("an interrupted ADD is undone by DEL, and before a new ADD", async () => {
  const { host, calls } = world();
  await addNetwork({ ...pod, network: network() }, host);
  const path = recordPath(host.cacheDir, pod.containerId, pod.ifName);
  const { result: _, ...record } = JSON.parse(readFileSync(path, "utf8"));
  const interrupt = (): void => writeFileSync(path, JSON.stringify({ ...record, state: "adding" }));
  interrupt();
  assert.equal(cachedNetwork(pod, host.cacheDir), undefined);
  await addNetwork({ ...pod, network: network() }, host);
  assert.deepEqual(order(calls()).slice(3, 7), ["DEL three", "DEL two", "DEL one", "ADD one"]);
  interrupt();
  assert.equal(await delNetwork(pod, host), true);
  assert.deepEqual(order(calls()).slice(-3), ["DEL three", "DEL two", "DEL one"]);
});

test("a plugin that goes on without the daemon that asked it is ended before the DEL, one of another's is not", async () => {
  const { host } = world();
  await addNetwork({ ...pod, network: network() }, host);
  const path = recordPath(host.cacheDir, pod.containerId, pod.ifName);
  const { result: _, ...record } = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...record, state: "adding" }));
  const running = (containerId: string): ChildProcess =>
    spawn("/bin/sh", ["-c", "sleep 600 & wait"], {
      detached: true,
      stdio: "ignore",
      env: {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: containerId,
        CNI_IFNAME: pod.ifName,
        CNI_PATH: host.binDirs?.join(":"),
        PATH: process.env["PATH"],
      },
    });
  const [own, other] = [running(pod.containerId), running("another")];
  await Promise.all([once(own, "spawn"), once(other, "spawn")]);
  try {
    const ended = once(own, "exit");
    await delNetwork(pod, host);
    assert.deepEqual(await ended, [null, "SIGKILL"]);
    assert.equal(other.signalCode, null);
  } finally {
    for (const { pid, signalCode } of [own, other]) if (pid !== undefined && signalCode === null) process.kill(-pid);
  }
});

test("CHECK asks every plugin, and says what differs", async () => {
  const { host, calls, replace } = world();
  await fault(checkNetwork(pod, host), "PB3023");
  await addNetwork({ ...pod, network: network() }, host);
  assert.equal(await checkNetwork(pod, host), true);
  assert.deepEqual(order(calls()).slice(3), ["CHECK one", "CHECK two", "CHECK three"]);
  replace("two", failure("the address is gone"));
  const { message } = await fault(checkNetwork(pod, host), "PB3023");
  assert.match(message, /the address is gone/);
});

test("an attachment that exists, names that cannot be, a plugin that is missing", async () => {
  const { host, calls } = world();
  await fault(addNetwork({ ...pod, network: network("1.0.0", ["one", "absent"]) }, host), "PB3006");
  for (const containerId of ["", "../x", "-a"]) {
    await fault(addNetwork({ ...pod, containerId, network: network() }, host), "PB3019");
  }
  for (const ifName of ["", "a/b", "sixteen-letters-", ".."]) {
    await fault(addNetwork({ ...pod, ifName, network: network() }, host), "PB3019");
  }
  assert.deepEqual(calls(), []);
  assert.ok(!existsSync(join(host.cacheDir, "results")));
  await addNetwork({ ...pod, network: network() }, host);
  await fault(addNetwork({ ...pod, network: network() }, host), "PB3020");
});

test("a result that is not understood, with the plugin's name", async () => {
  const { host, calls } = world({ two: `[ $CNI_COMMAND != ADD ] || echo '{"cniVersion":"1.0.0","ips":[{}]}'` });
  const { message } = await fault(addNetwork({ ...pod, network: network() }, host), "PB3009");
  assert.match(message, /"two".*ips\[0\]\.address/);
  assert.deepEqual(order(calls()).slice(2), ["DEL two", "DEL one"]);
});

test("a call that is off is undone all the same", async () => {
  const { host, calls } = world({ two: "[ $CNI_COMMAND = DEL ] || exec sleep 1000" });
  const aborter = new AbortController();
  const running = fault(addNetwork({ ...pod, network: network() }, { ...host, signal: aborter.signal }), "PB3026");
  while (calls().length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  aborter.abort();
  await running;
  assert.deepEqual(order(calls()).slice(2), ["DEL two", "DEL one"]);
});

test("operations on one attachment wait for each other", async () => {
  const { host, calls } = world();
  const adding = addNetwork({ ...pod, network: network() }, host);
  const again = fault(addNetwork({ ...pod, network: network() }, host), "PB3020");
  const deleting = delNetwork(pod, host);
  await Promise.all([adding, again]);
  assert.equal(await deleting, true);
  assert.deepEqual(order(calls()), ["ADD one", "ADD two", "ADD three", "DEL three", "DEL two", "DEL one"]);
});

test("a damaged record is named", async () => {
  const { host } = world();
  await addNetwork({ ...pod, network: network() }, host);
  const path = recordPath(host.cacheDir, pod.containerId, pod.ifName);
  writeFileSync(path, "{");
  await fault(delNetwork(pod, host), "PB3021");
  assert.deepEqual(listCached(host.cacheDir), { attachments: [], damaged: [path] });
});

test("a record that cannot be kept stops before anything is made", async () => {
  const { host, calls } = world();
  mkdirSync(host.cacheDir, { recursive: true });
  writeFileSync(join(host.cacheDir, "results"), "a file");
  await fault(addNetwork({ ...pod, network: network() }, host), "PB3021");
  assert.deepEqual(calls(), []);
});

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { eventually, type Outcome, TestHost } from "../daemon.ts";
import { kubectlBinary, kubectlVersions } from "../kubectls.ts";
import { vmManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { type ConsoleSocket, openConsoleSocket } from "./console-socket.ts";
import { claimOf, explained } from "./explained.ts";
import { tracesOf } from "./traces.ts";

const EXAMPLE = new URL("../../examples/virtual-machine.yaml", import.meta.url).pathname;
const SUBRESOURCES = "/apis/subresources.kubevirt.io/v1/namespaces/default";

/** What a VM's running guest is known by outside. */
interface Identity {
  readonly uid: string;
  readonly mac: string;
  readonly addresses: readonly string[];
}

test("a VirtualMachine's life", { timeout: 600_000, concurrency: true }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectls")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  const before = await tracesOf(host);
  /** One after the other, but for those of one object. */
  const steps: readonly Readonly<Record<string, (host: TestHost) => Promise<void>>>[] = [
    { "Always: boots, and is back with its MAC and addresses after the guest shut down": comesBack },
    { "restarts when asked, by each kubectl, and refuses what makes no sense": restarts },
    { "goes although somebody took the label off its pod, and the node is back when it is deleted": losesItsLabel },
    { "pauses and goes on, over a restart of the daemon; its console is a websocket": pauses },
    { "says that a change needs a restart, and has it after one": changes },
    { "halts, and starts with its addresses; where they are taken, with others": halts },
    {
      // It waits for ten seconds, and the other one is about another VM.
      "backs off when it keeps failing": failsInALoop,
      "a guest that does not hear its power button is stopped at once where that is asked": hurries,
    },
    { "`patchbay run` waits for a VM's guest, and says of one that is not to run that it is not": runs },
    { "RerunOnFailure: comes back after a failure, not after a shutdown": rerunsOnFailure },
    { "Manual and Once: as asked, and never by themselves": onceAndManual },
  ];
  for (const together of steps) {
    const begun = Object.entries(together).map(([name, step]) =>
      t.test(
        name,
        host.explained<TestContext>(() => step(host)),
      ),
    );
    await Promise.all(begun);
  }
  await t.test(
    "is deleted and leaves nothing, orphans its VMI where asked",
    host.explained<TestContext>(async () => {
      await leavesNothing(host);
      await eventually("the machine to be as before", async () => isDeepStrictEqual(await tracesOf(host), before));
    }),
  );
});

async function comesBack(host: TestHost): Promise<void> {
  await host.kubectlOk(["apply", "-f", "-"], vmManifest({ name: "web", ports: [{ port: 80 }] }, "Always"));
  await host.kubectlOk(["wait", "--for=condition=Ready", "vm/web", "--timeout=120s"]);
  const first = await identity(host);
  assert.equal(first.addresses.length, 2, "an address of each family");
  await explainsItsMac(host, first.mac);
  for (const address of first.addresses) assert.match(await host.page(address), new RegExp(first.mac));
  assert.match(await host.kubectlOk(["get", "vm"]), /web +\S+ +Running +True/);
  const diff = await host.kubectl(["diff", "-f", "-"], vmManifest({ name: "web", ports: [{ port: 80 }] }, "Always"));
  assert.deepEqual([diff.code, diff.stdout], [0, ""], "nothing was written into the VM's spec");

  await powerOff(host);
  const second = await identity(host, first);
  assert.deepEqual([second.mac, second.addresses], [first.mac, first.addresses]);
  assert.match(await host.page(second.addresses[0] ?? ""), new RegExp(first.mac));
  await explainsItsMac(host, second.mac);
}

/** What `patchbay explain` says of the MAC of a VM's guest, its first one or a later one. */
async function explainsItsMac(host: TestHost, mac: string): Promise<void> {
  const said = claimOf("masquerade")(await explained(host, "web"), "mac");
  assert.equal(said["mac"], mac);
  assert.match(said.statement, /VM keeps .*over its restarts/);
}

async function restarts(host: TestHost): Promise<void> {
  let last = await identity(host);
  for (const version of kubectlVersions) {
    const kubectl = await kubectlBinary(version);
    const kubeconfig = ["--kubeconfig", join(host.dataDir, "kubeconfig")];
    const answer = await put(host, "virtualmachines/web/restart", "{}", [kubectl, ...kubeconfig]);
    assert.equal(answer.code, 0, answer.stderr);
    const next = await identity(host, last);
    assert.deepEqual([next.mac, next.addresses], [last.mac, last.addresses]);
    last = next;
    const listed = await host.run([kubectl, ...kubeconfig, "get", "virtualmachines", "-o", "name"]);
    assert.equal(listed.stdout, "virtualmachine.kubevirt.io/web\n", listed.stderr);
    const groups = await host.run([kubectl, ...kubeconfig, "api-versions"]);
    assert.match(groups.stdout, /^subresources\.kubevirt\.io\/v1$/m);
  }
  assert.match((await put(host, "virtualmachines/web/start")).stderr, /VM is already running/);
  assert.match((await put(host, "virtualmachines/none/start")).stderr, /"none" not found/);
  assert.match(
    (await put(host, "virtualmachines/web/restart", '{"gracePeriodSeconds":5}')).stderr,
    /only gracePeriod=0/,
  );
  assert.match((await put(host, "virtualmachineinstances/web/unpause")).stderr, /VMI is not paused/);
  assert.match((await host.kubectl(["get", "--raw", `${SUBRESOURCES}/virtualmachines/web/start`])).stderr, /method/);
  assert.equal((await identity(host)).uid, last.uid, "nothing of it was done");
}

async function pauses(host: TestHost): Promise<void> {
  const { uid, mac, addresses } = await identity(host);
  const console = openConsoleSocket(host, "web", { protocol: "binary", how: "protocol" });
  await console.untilTold(/open binary/);
  const second = openConsoleSocket(host, "web");
  await second.untilTold(/failed|closed/);
  await accepted(put(host, "virtualmachineinstances/web/pause"));
  assert.equal(await condition(host, "vmi", "Paused"), "True PausedByUser");
  assert.equal(await condition(host, "vmi", "Ready"), "False ReadinessGatesNotReady");
  await printable(host, "Paused");
  assert.match((await put(host, "virtualmachineinstances/web/pause")).stderr, /already paused/);
  const stopped = await cpuTime(host);
  await host.killDaemon();
  await console.untilTold(/closed/);
  await host.up();
  await printable(host, "Paused");
  assert.equal(await cpuTime(host), stopped, "its processors stood still");
  await accepted(put(host, "virtualmachineinstances/web/unpause"));
  const again = openConsoleSocket(host, "web");
  await shell(again);
  again.type("echo it-runs-$((40+2))\n");
  await again.until(/it-runs-42/);
  await printable(host, "Running");
  assert.equal(await condition(host, "vmi", "Paused"), "");
  assert.deepEqual(await identity(host), { uid, mac, addresses });

  // A client that is gone without a word leaves the console to the next.
  again.kill();
  await eventually("the console being free", async () => {
    const next = openConsoleSocket(host, "web");
    await next.untilTold(/open plain|failed|closed/);
    const open = next.told().startsWith("open plain");
    next.kill();
    return open;
  });
  const stranger = openConsoleSocket(host, "web", { token: "wrong" });
  await stranger.untilTold(/failed|closed/);
  assert.doesNotMatch(stranger.told(), /open/);
}

async function changes(host: TestHost): Promise<void> {
  const before = await identity(host);
  assert.equal(await condition(host, "vm", "RestartRequired"), "");
  const memory = { template: { spec: { domain: { resources: { requests: { memory: "208Mi" } } } } } };
  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", JSON.stringify({ spec: memory })]);
  await eventually("RestartRequired", async () => (await condition(host, "vm", "RestartRequired")).startsWith("True"));
  const [desired, observed] = [await status(host, "desiredGeneration"), await status(host, "observedGeneration")];
  assert.ok(Number(observed) < Number(desired), `${observed} before ${desired}`);
  assert.equal((await identity(host)).uid, before.uid, "it runs on meanwhile");
  await accepted(put(host, "virtualmachines/web/restart"));
  await identity(host, before);
  assert.equal(await host.value("vmi", "web", ".spec.domain.resources.requests.memory"), "208Mi");
  await eventually("no RestartRequired", async () => (await condition(host, "vm", "RestartRequired")) === "");
  await eventually("the generation", async () => {
    const [seen, wanted] = (await status(host, "observedGeneration} {.status.desiredGeneration")).split(" ");
    return seen === wanted;
  });
}

async function halts(host: TestHost): Promise<void> {
  const first = await identity(host);
  await accepted(put(host, "virtualmachines/web/stop"));
  await printable(host, "Stopped");
  assert.equal(await host.value("vm", "web", ".spec.runStrategy"), "Halted");
  assert.equal((await host.kubectl(["get", "vmi", "web"])).code, 1);
  assert.match((await put(host, "virtualmachines/web/stop")).stderr, /VM is not running/);
  assert.match((await put(host, "virtualmachines/web/restart")).stderr, /Halted does not support/);
  await accepted(put(host, "virtualmachines/web/start", '{"paused":true}'));
  await printable(host, "Paused");
  assert.equal(await host.value("vm", "web", ".spec.runStrategy"), "Always");
  await accepted(put(host, "virtualmachineinstances/web/unpause"));
  const second = await identity(host, first);
  assert.deepEqual([second.mac, second.addresses], [first.mac, first.addresses]);

  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", '{"spec":{"runStrategy":"Halted"}}']);
  await printable(host, "Stopped");
  // As host-local notes an address that it gave to another pod.
  const [address = ""] = first.addresses;
  writeFileSync(join(host.dataDir, "cni", "host-local", "patchbay", address), "another\r\neth0");
  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", '{"spec":{"runStrategy":"Always"}}']);
  const third = await identity(host, second);
  assert.equal(third.mac, first.mac);
  assert.ok(!third.addresses.includes(address));
  await eventually("the event", async () => (await host.kubectlOk(["get", "events"])).includes("PB3029"));
  await host.run(["rm", join(host.dataDir, "cni", "host-local", "patchbay", address)]);
}

async function failsInALoop(host: TestHost): Promise<void> {
  const first = await identity(host);
  process.kill((await host.guest("web")).qemuPid, "SIGKILL");
  const second = await identity(host, first);
  assert.equal(await status(host, "startFailure.consecutiveFailCount"), "1", "one failure is let off");
  process.kill((await host.guest("web")).qemuPid, "SIGKILL");
  await printable(host, "CrashLoopBackOff");
  await identity(host, second);
  assert.equal(await status(host, "startFailure.consecutiveFailCount"), "2");
}

async function runs(host: TestHost): Promise<void> {
  await accepted(put(host, "virtualmachines/web/stop"));
  await printable(host, "Stopped");
  const { code, stdout, stderr } = await host.patchbay(["run", "-f", EXAMPLE, "-o", "json"]);
  assert.equal(code, 0, stderr);
  const [reached]: readonly { readonly name: string; readonly interfaces: readonly { readonly mac: string }[] }[] =
    JSON.parse(stdout);
  assert.equal(reached?.name, "virtual-machine");
  assert.equal(reached.interfaces[0]?.mac, await host.value("vmi", "virtual-machine", ".status.interfaces[0].mac"));
  await host.kubectlOk(["delete", "-f", EXAMPLE]);
  const halted = vmManifest({ name: "later" }, "Halted");
  const told = await host.patchbay(["run", "-f", "-"], { input: halted });
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stderr, /default\/later is not started: its run strategy is Halted/);
  await host.kubectlOk(["delete", "vm", "later"]);
}

async function hurries(host: TestHost): Promise<void> {
  const deaf = vmManifest(
    {
      name: "deaf",
      userData: "#!/bin/sh\nkillall -STOP acpid\necho deaf-is-set >/dev/console\n",
      spec: { terminationGracePeriodSeconds: 3_600 },
    },
    "Always",
  );
  await host.kubectlOk(["apply", "-f", "-"], deaf);
  const { folder } = await host.guest("deaf");
  await eventually("the guest's deafness", () =>
    Promise.resolve(readFileSync(join(folder, "console.log"), "utf8").includes("deaf-is-set")),
  );
  await accepted(put(host, "virtualmachines/deaf/stop"));
  await eventually("Stopping", async () => (await host.value("vm", "deaf", ".status.printableStatus")) === "Stopping");
  assert.match((await put(host, "virtualmachines/deaf/stop")).stderr, /shorter graceperiod/);
  await accepted(put(host, "virtualmachines/deaf/stop", '{"gracePeriod":0}'));
  await eventually("Stopped", async () => (await host.value("vm", "deaf", ".status.printableStatus")) === "Stopped");
  await host.kubectlOk(["delete", "vm", "deaf"]);
}

async function rerunsOnFailure(host: TestHost): Promise<void> {
  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", '{"spec":{"runStrategy":"RerunOnFailure"}}']);
  const first = await identity(host);
  process.kill((await host.guest("web")).qemuPid, "SIGKILL");
  const second = await identity(host, first);
  assert.deepEqual([second.mac, second.addresses], [first.mac, first.addresses]);
  await powerOff(host);
  await printable(host, "Stopped");
  await eventually("the VMI's end", async () => (await host.kubectl(["get", "vmi", "web"])).code === 1);
  await accepted(put(host, "virtualmachines/web/start"));
  await identity(host, second);
  await accepted(put(host, "virtualmachines/web/stop", '{"gracePeriod":0}'));
  await printable(host, "Stopped");
}

async function onceAndManual(host: TestHost): Promise<void> {
  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", '{"spec":{"runStrategy":"Manual"}}']);
  await eventually("Manual", async () => (await status(host, "runStrategy")) === "Manual");
  assert.equal(await status(host, "printableStatus"), "Stopped");
  await accepted(put(host, "virtualmachines/web/start"));
  const first = await identity(host);
  await powerOff(host);
  await eventually("the end", async () => (await host.value("vmi", "web", ".status.phase")) === "Succeeded");
  await printable(host, "Stopped");
  await accepted(put(host, "virtualmachines/web/start"));
  const second = await identity(host, first);
  await accepted(put(host, "virtualmachines/web/stop"));
  await printable(host, "Stopped");
  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", '{"spec":{"runStrategy":"Once"}}']);
  const third = await identity(host, second);
  process.kill((await host.guest("web")).qemuPid, "SIGKILL");
  await eventually("the failure", async () => (await host.value("vmi", "web", ".status.phase")) === "Failed");
  await printable(host, "CrashLoopBackOff");
  assert.equal(await host.value("vmi", "web", ".metadata.uid"), third.uid);
}

async function leavesNothing(host: TestHost): Promise<void> {
  await host.kubectlOk(["patch", "vm", "web", "--type=merge", "-p", '{"spec":{"runStrategy":"Always"}}']);
  const { uid } = await identity(host);
  const cascade = (await host.kubectl(["delete", "vm", "web", "--cascade=orphan"])).code === 0;
  assert.ok(cascade, "kubectl deletes the VM alone");
  assert.equal(await host.value("vmi", "web", ".metadata.uid"), uid, "the guest runs on");
  // A VM of that name takes it over, and the guest does not notice.
  await host.kubectlOk(["apply", "-f", "-"], vmManifest({ name: "web" }, "Always"));
  await printable(host, "Running");
  assert.equal((await identity(host)).uid, uid);
  await host.kubectlOk(["delete", "vm", "web"]);
  assert.equal(await host.kubectlOk(["get", "vm,vmi,pods", "-o", "name"]), "");
}

async function losesItsLabel(host: TestHost): Promise<void> {
  const first = await identity(host);
  await host.kubectlOk(["label", "pods", "-l", "kubevirt.io=virt-launcher", "kubevirt.io-"]);
  await host.kubectlOk(["delete", "node", "--all"]);
  const back = ["wait", "--for=condition=Ready", "node", "--all", "--timeout=5s"];
  await eventually("the node", async () => (await host.kubectl(back)).code === 0);
  await host.kubectlOk(["delete", "vmi", "web", "--timeout=120s"]);
  await identity(host, first);
}

/** PUT on a subresource, by `kubectl replace --raw`. */
function put(host: TestHost, path: string, body = "{}", kubectl?: readonly string[]): Promise<Outcome> {
  const file = join(host.dataDir, "cache", "body.json");
  writeFileSync(file, body);
  const args = ["replace", "--raw", `${SUBRESOURCES}/${path}`, "-f", file];
  return kubectl === undefined ? host.kubectl(args) : host.run([...kubectl, ...args]);
}

async function accepted(answer: Promise<Outcome>): Promise<void> {
  const { code, stdout, stderr } = await answer;
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
}

/** The VM's running guest; another one than `before`. */
function identity(host: TestHost, before?: Identity): Promise<Identity> {
  return eventually("the VM's guest", async () => {
    const paths = [".metadata.uid", ".status.phase", ".status.interfaces[0].mac", ".status.interfaces[0].ipAddresses"];
    const text = await host.value("vmi", "web", paths.join('}{"\\n"}{'));
    const [uid = "", phase, mac = "", addresses = ""] = text.split("\n");
    const running = phase === "Running" && addresses !== "" && uid !== before?.uid;
    return running && { uid, mac, addresses: JSON.parse(addresses) as readonly string[] };
  });
}

async function printable(host: TestHost, wanted: string): Promise<void> {
  await eventually(wanted, async () => (await status(host, "printableStatus")) === wanted);
}

function status(host: TestHost, path: string): Promise<string> {
  return host.value("vm", "web", `.status.${path}`);
}

/** Status and reason; empty where there is no such condition. */
async function condition(host: TestHost, kind: string, type: string): Promise<string> {
  const at = `.status.conditions[?(@.type=="${type}")]`;
  return (await host.value(kind, "web", `${at}.status} {${at}.reason`)).trim();
}

async function powerOff(host: TestHost): Promise<void> {
  const console = openConsoleSocket(host, "web");
  await shell(console);
  console.type("poweroff -f\n");
  await console.untilTold(/closed 1000/);
}

/** Waits for the guest's prompt, which it shows again for each empty line. */
async function shell(console: ConsoleSocket): Promise<void> {
  await console.untilTold(/open/);
  await eventually("a shell", () => {
    console.type("\n");
    return Promise.resolve(/# /.test(console.shown()));
  });
}

/** Ticks that QEMU has used, of all its threads. */
async function cpuTime(host: TestHost): Promise<string> {
  const { qemuPid } = await host.guest("web");
  const { stdout } = await host.run(["sh", "-c", `cat /proc/${qemuPid}/task/*/comm /proc/${qemuPid}/task/*/stat`]);
  const vcpu = stdout.split("\n").filter((line) => line.includes("(CPU ") && line.includes(")"));
  assert.ok(vcpu.length > 0, "QEMU names its processors' threads");
  return vcpu.map((line) => line.split(") ")[1]?.split(" ").slice(11, 13).join("+")).join(" ");
}

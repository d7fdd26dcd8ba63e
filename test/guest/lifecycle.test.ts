import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { findQemuUser } from "../../src/host/guest/process.ts";
import { comesTo } from "../comes-to.ts";
import { eventually, isProcess, type TestGuest, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { namespacesOf, type Traces, tracesOf } from "./traces.ts";

/** A daemon without VMIs, and what the machine is like then. */
interface Quiet {
  readonly host: TestHost;
  readonly before: Traces;
  /** Pods that were seen: nothing of theirs may stay. */
  readonly pods: string[];
}

test("VMIs live, end in every way, and leave nothing", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  const quiet: Quiet = { host, before: await tracesOf(host), pods: [] };
  const steps: Readonly<Record<string, (quiet: Quiet) => Promise<void>>> = {
    "QEMU runs unprivileged in the pod; killed, it is Failed at once and its network is given back": killed,
    "asked to end by a signal, it is Failed with QEMU's last words": signalled,
    "a VMI whose pod is deleted under it is Failed": podDeleted,
    "a VMI made again under its name at once is another one, which may power itself off": madeAgain,
    "a guest that hears its power button shuts down; one that does not is ended after the grace period": graceful,
    "a VMI may be deleted while it starts": early,
  };
  for (const [name, step] of Object.entries(steps)) {
    await t.test(
      name,
      host.explained<TestContext>(async () => {
        await step(quiet);
        await asBefore(quiet);
      }),
    );
  }
});

async function killed(quiet: Quiet): Promise<void> {
  const { host } = quiet;
  const guest = await started(quiet, guestManifest({ name: "plain" }));
  const status = procStatus(guest.qemuPid);
  const user = findQemuUser();
  assert.match(status["Uid"] ?? "", new RegExp(`^(${user.uid}\\s*){4}$`));
  assert.notEqual(user.uid, 0);
  for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"]) assert.match(status[set] ?? "", /^0+$/, set);
  assert.equal(status["NoNewPrivs"], "1");
  assert.equal(status["Seccomp"], "2");
  const [own, pod, hosts] = [`/proc/${guest.qemuPid}/ns/net`, guest.netns, host.netns].map(
    (path) => statSync(path).ino,
  );
  assert.equal(own, pod, "QEMU is in its pod's namespace");
  assert.notEqual(own, hosts, "and not in the host's");

  const now: Readonly<Record<string, readonly string[]>> = await tracesOf(host);
  for (const [kind, lines] of Object.entries(quiet.before)) {
    assert.notDeepEqual(now[kind], lines, `a VMI that runs shows among the ${kind}`);
  }
  assert.deepEqual(namespacesOf([guest.podUid]).length, 1);

  process.kill(guest.qemuPid, "SIGKILL");
  assert.match(await failure(host, "plain"), /^Failed PB6103 QEMU ended \(killed\)/);
  await givenBack(host, guest);
  assert.equal(await host.value("vmi", "plain", '.status.conditions[?(@.type=="Ready")].status'), "False");
  await told(host, "plain", "PB6103");
  await host.kubectlOk(["delete", "vmi", "plain"]);
}

async function signalled(quiet: Quiet): Promise<void> {
  const guest = await started(quiet, guestManifest({ name: "plain" }));
  process.kill(guest.qemuPid, "SIGTERM");
  assert.match(await failure(quiet.host, "plain"), /^Failed PB6103 QEMU ended \(signal\).*terminating on signal 15/s);
  await givenBack(quiet.host, guest);
  const logs = ["logs", "-l", "vm.kubevirt.io/name=plain", "--tail=-1", "-c"];
  assert.match(await quiet.host.kubectlOk([...logs, "compute"]), /terminating on signal 15/);
  await quiet.host.kubectlOk([...logs, "guest-console-log", "-f"]);
  const kept = join(quiet.host.dataDir, "logs/pods", guest.podUid);
  assert.ok(existsSync(kept));
  await quiet.host.kubectlOk(["delete", "vmi", "plain"]);
  await eventually("the log's end with its pod", () => Promise.resolve(!existsSync(kept)));
}

async function podDeleted(quiet: Quiet): Promise<void> {
  const { host } = quiet;
  const guest = await started(quiet, guestManifest({ name: "plain" }));
  await host.kubectlOk(["delete", "pod", "-l", "vm.kubevirt.io/name=plain"]);
  assert.match(await failure(host, "plain"), /^Failed PB6108 /);
  await givenBack(host, guest);
  await told(host, "plain", "PB6108");
  await host.kubectlOk(["delete", "vmi", "plain"]);
}

async function madeAgain(quiet: Quiet): Promise<void> {
  const { host } = quiet;
  const first = await started(quiet, guestManifest({ name: "again" }));
  await host.kubectlOk(["delete", "vmi", "again"]);
  const second = await started(quiet, guestManifest({ name: "again", userData: "#!/bin/sh\npoweroff\n" }));
  assert.notEqual(second.podUid, first.podUid);
  assert.equal(isProcess(first.qemuPid), false);
  await phase(host, "again", "Succeeded");
  await givenBack(host, second);
  await host.kubectlOk(["delete", "vmi", "again"]);
}

async function graceful(quiet: Quiet): Promise<void> {
  const { host } = quiet;
  const grace = 4;
  const spoken = (name: string, act: string, seconds: number): string =>
    guestManifest({
      name,
      userData: `#!/bin/sh\n${act}\necho ${name}-is-set >/dev/console\n`,
      spec: { terminationGracePeriodSeconds: seconds },
    });
  const deaf = await started(quiet, spoken("deaf", "killall -STOP acpid", grace));
  await said(deaf, "deaf-is-set");
  const began = performance.now();
  // Grace periods are pods' alone: that of a VMI's deletion says nothing.
  await host.kubectlOk(["delete", "vmi", "deaf", "--grace-period=0", "--force"]);
  await eventually("its end", async () => (await host.kubectl(["get", "vmi", "deaf"])).code === 1);
  assert.ok(performance.now() - began >= grace * 1000, "it had its grace period");
  assert.equal(isProcess(deaf.qemuPid), false);

  const polite = await started(quiet, spoken("polite", "until pidof acpid; do usleep 50000; done", 120));
  await said(polite, "polite-is-set");
  const console = consoleLines(polite);
  await host.kubectlOk(["delete", "vmi", "polite"]);
  assert.match(await console, /patchbay-guest: stopping/);
}

async function early(quiet: Quiet): Promise<void> {
  const { host, pods } = quiet;
  const manifest = guestManifest({ name: "early" });
  // At once, when the pod is there, and when its network is being made.
  for (const moment of [
    async () => true,
    async () => (await podUids(host)).length > 0,
    async () => existsSync(join(host.dataDir, "pods")) && (await podUids(host)).some((uid) => recorded(host, uid)),
  ]) {
    await host.kubectlOk(["apply", "-f", "-"], manifest);
    await eventually("the moment of deletion", moment);
    pods.push(...(await podUids(host)));
    await host.kubectlOk(["delete", "vmi", "early"]);
    await asBefore(quiet);
  }
}

/** Applies a VMI and waits until it runs. */
async function started({ host, pods }: Quiet, manifest: string): Promise<TestGuest> {
  await host.kubectlOk(["apply", "-f", "-"], manifest);
  const name = /name: (\S+)/.exec(manifest)?.[1] ?? "";
  await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  const guest = await host.guest(name);
  pods.push(guest.podUid);
  return guest;
}

async function phase(host: TestHost, name: string, wanted: string): Promise<void> {
  await eventually(`phase ${wanted} of ${name}`, async () => {
    const found = await host.value("vmi", name, ".status.phase");
    return found === wanted;
  });
}

/** Phase, reason and message of a VMI that failed. */
async function failure(host: TestHost, name: string): Promise<string> {
  await phase(host, name, "Failed");
  const [reason, message] = await Promise.all(
    ["reason", "message"].map((field) =>
      host.value("vmi", name, `.status.conditions[?(@.type=="Synchronized")].${field}`),
    ),
  );
  return `Failed ${reason} ${message}`;
}

/** Waits for the event of a VMI with that reason: it is written after the status. */
async function told(host: TestHost, name: string, reason: string): Promise<void> {
  const selector = `involvedObject.name=${name},reason=${reason}`;
  await eventually(`the event ${reason}`, () =>
    host.kubectlOk(["get", "events", "--field-selector", selector, "-o", "name"]),
  );
}

/** While the VMI's object is still there. */
async function givenBack(host: TestHost, guest: TestGuest): Promise<void> {
  await eventually("the network being given back", () =>
    Promise.resolve(!existsSync(guest.netns) && !recorded(host, guest.podUid) && !existsSync(guest.folder)),
  );
}

function recorded(host: TestHost, podUid: string): boolean {
  return existsSync(join(host.dataDir, "pods", `${podUid}.json`));
}

async function podUids(host: TestHost): Promise<readonly string[]> {
  return (await host.kubectlOk(["get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"]))
    .split(" ")
    .filter((uid) => uid !== "");
}

/** Nothing more and nothing less than before there was any VMI; the kernel takes namespaces down in the background. */
async function asBefore({ host, before, pods }: Quiet): Promise<void> {
  await comesTo([], () => podUids(host));
  await comesTo(before, () => tracesOf(host));
  assert.deepEqual(namespacesOf(pods), []);
}

function procStatus(pid: number): Readonly<Record<string, string>> {
  return Object.fromEntries(
    readFileSync(`/proc/${pid}/status`, "utf8")
      .split("\n")
      .map((line) => {
        const [key = "", value = ""] = line.split(":\t");
        return [key, value.trim()];
      }),
  );
}

async function said(guest: TestGuest, words: string): Promise<void> {
  await eventually(`"${words}" on the console`, () =>
    Promise.resolve(readFileSync(join(guest.folder, "console.log"), "utf8").includes(words)),
  );
}

/** What the console says until the guest is gone. */
async function consoleLines({ qemuPid, folder }: TestGuest): Promise<string> {
  // Open before it goes with the folder.
  const log = openSync(join(folder, "console.log"), "r");
  try {
    await eventually("the guest's end", () => Promise.resolve(!isProcess(qemuPid)));
    return readFileSync(log, "utf8");
  } finally {
    closeSync(log);
  }
}

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { bridgeName } from "../../src/host/cni/default-network.ts";
import { comesTo } from "../comes-to.ts";
import { eventually, isProcess, PATIENCE_MS, type TestGuest, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { namespacesOf, type Traces, tracesOf } from "./traces.ts";

/** When the daemon is killed while it starts a VMI: what lies below its data folder then. */
const MOMENTS: Readonly<Record<string, (dataDir: string) => boolean>> = {
  "before the network is made": (dataDir) => stages(dataDir).length > 0,
  "when CNI begins": (dataDir) => filesIn(join(dataDir, "cni/results")).length > 0,
  "while the bridge plugin runs": (dataDir) => addressesOf(dataDir).length > 0,
  "when the network is made": (dataDir) => stages(dataDir).some((stage) => stage !== "network"),
  "when the guest's folder is made": (dataDir) => filesIn(join(dataDir, "guests")).length > 0,
  "when QEMU has made its sockets": (dataDir) =>
    filesIn(join(dataDir, "guests")).some((uid) => existsSync(join(dataDir, "guests", uid, "qmp.sock"))),
  "when QEMU is recorded": (dataDir) => stages(dataDir).includes("guest"),
};

test("a daemon killed at any moment of a start leaves a VMI that the next one starts, once", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  const before = await tracesOf(host);
  for (const [moment, come] of Object.entries(MOMENTS)) {
    await t.test(
      `killed ${moment}`,
      host.explained<TestContext>(async () => {
        const killed = killDaemonWhen(host, come);
        // The call may be cut off by the daemon's end; what it made is in the store by then.
        await host.kubectl(["apply", "-f", "-"], guestManifest({ name: "guest" }));
        await killed;
        await host.up();
        await oneGuest(host);
        await deleted(host, before);
      }),
    );
  }
  await t.test(
    "killed while it gives a VMI back",
    host.explained<TestContext>(async () => {
      await host.kubectlOk(["apply", "-f", "-"], guestManifest({ name: "guest" }));
      const { podUid, qemuPid } = await oneGuest(host);
      await host.kubectlOk(["delete", "vmi", "guest", "--wait=false"]);
      await killDaemonWhen(host, () => !isProcess(qemuPid));
      await host.up();
      await eventually("the VMI's end", async () => (await host.kubectl(["get", "vmi", "guest"])).code !== 0);
      await nothingLeft(host, before, podUid);
    }),
  );
  await t.test(
    "killed between the start of QEMU and its record",
    host.explained<TestContext>(async () => {
      await host.kubectlOk(["apply", "-f", "-"], guestManifest({ name: "guest" }));
      const { podUid, qemuPid } = await oneGuest(host);
      await host.killDaemon();
      // No moment that can be met from outside: the record is put back to what it was just before.
      const file = join(host.dataDir, "pods", `${podUid}.json`);
      const { guest: _, ...rest } = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(file, JSON.stringify({ ...rest, stage: "wired" }));
      await host.up();
      await eventually("another QEMU", async () => (await host.guest("guest")).qemuPid !== qemuPid);
      await oneGuest(host);
      await deleted(host, before);
    }),
  );
  await t.test(
    "killed between the last pod's end and the bridge's",
    host.explained<TestContext>(async () => {
      await host.killDaemon();
      // This moment cannot be met either: the bridge is made as such a daemon leaves it.
      const left = bridgeName(host.dataDir);
      assert.equal((await host.run(["ip", "link", "add", left, "type", "bridge"])).code, 0);
      await host.up();
      await comesTo(before, () => tracesOf(host));
    }),
  );
});

/** The VMI runs, and nothing of it is there twice. */
async function oneGuest(host: TestHost): Promise<TestGuest> {
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/guest", "--timeout=120s"]);
  const guest = await host.guest("guest");
  const qemus = (await tracesOf(host)).processes.filter((line) => line.includes("qemu-system"));
  assert.equal(qemus.length, 1, qemus.join("\n"));
  assert.match(qemus[0] ?? "", new RegExp(`^${guest.qemuPid} `));
  assert.deepEqual(filesIn(join(host.dataDir, "guests")), [guest.podUid]);
  assert.equal(addressesOf(host.dataDir).length, 2, "one address of each family");
  assert.equal(namespacesOf([guest.podUid]).length, 1);
  return guest;
}

async function deleted(host: TestHost, before: Traces): Promise<void> {
  const { podUid } = await host.guest("guest");
  await host.kubectlOk(["delete", "vmi", "guest"]);
  await nothingLeft(host, before, podUid);
}

async function nothingLeft(host: TestHost, before: Traces, podUid: string): Promise<void> {
  await comesTo(before, () => tracesOf(host));
  assert.deepEqual(namespacesOf([podUid]), []);
}

/** Kills the daemon as soon as something below its data folder makes `come` true. */
async function killDaemonWhen(host: TestHost, come: (dataDir: string) => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  // The moments are short: what happens once a daemon is awaited more closely than by `eventually`.
  while (!come(host.dataDir)) {
    assert.ok(performance.now() < deadline, "the moment came");
    await delay(1);
  }
  await host.killDaemon();
}

/** How far the pods have come, by their records. */
function stages(dataDir: string): readonly string[] {
  const folder = join(dataDir, "pods");
  return filesIn(folder).flatMap((name) => {
    try {
      const [, stage] = /"stage":"(\w+)"/.exec(readFileSync(join(folder, name), "utf8")) ?? [];
      return stage === undefined ? [] : [stage];
    } catch {
      // It was renamed between the look at the folder and at the file.
      return [];
    }
  });
}

/** Addresses that host-local has given out. */
function addressesOf(dataDir: string): readonly string[] {
  return filesIn(join(dataDir, "cni/host-local/patchbay")).filter((name) => /^[\da-f.:]+$/.test(name));
}

function filesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

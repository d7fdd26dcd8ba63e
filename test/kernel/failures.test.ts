import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { blankManifest } from "../blank-guest.ts";
import { type CannotStart, type Lab, makeLab, waysNotToStart } from "../cannot-start.ts";
import { eventually, TestHost } from "../daemon.ts";
import { namespacesOf, type Traces, tracesOf } from "../guest/traces.ts";
import { needs } from "../needs.ts";

test("a VMI that cannot start says why at once, leaves nothing half-made, and starts when the cause is mended", {
  timeout: 580_000,
}, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  const lab = await makeLab(host);
  for (const [index, row] of waysNotToStart.entries()) {
    await t.test(row.what, (inner) => cannotStart(inner, lab, row, `vm${index}`));
  }
  await t.test("it is tried again after growing waits, and told once", () => patience(lab));
  await t.test("a slow plugin is named while it is waited for", () => slowPlugin(lab));
});

async function cannotStart(t: TestContext, lab: Lab, row: CannotStart, name: string): Promise<void> {
  const { host } = lab;
  const before = await traces(host);
  const breakage = await row.breaks?.(lab);
  const undo = [breakage?.mend, breakage?.clear, lab.network.sound];
  t.after(async () => {
    for (const step of undo.splice(0)) await step?.();
  });
  const broken = await traces(host);
  await host.kubectlOk(["apply", "-f", "-"], (row.manifest ?? ((vmi) => blankManifest({ name: vmi })))(name));
  const message = await eventually(
    `${name} says ${row.code}`,
    async () =>
      (await condition(host, name, "Synchronized", "reason")) === row.code &&
      (await condition(host, name, "Synchronized", "message")),
  );
  for (const part of row.says) assert.match(message, part);
  assert.equal(await condition(host, name, "Ready", "status"), row.code === "PB6104" ? "" : "False");
  await eventually("the event", async () =>
    (await events(host, name, "Warning")).some((event) => event === `${row.code} ${message}`),
  );
  const pods = await podUids(host, name);
  await eventually("nothing half-made", async () => {
    assert.equal(await condition(host, name, "Ready", "status"), row.code === "PB6104" ? "" : "False");
    return same(await traces(host), broken) && namespacesOf(pods).length === 0;
  });

  await undo.shift()?.();
  if (row.recovers === true) {
    await isReady(host, name);
    assert.ok(!same(await traces(host), broken), "a guest that runs is seen, so one half-made would be");
    assert.equal(namespacesOf(pods).length, 1);
  }
  await host.kubectlOk(["delete", "vmi", name, "--timeout=120s"]);
  for (const step of undo.splice(0)) await step?.();
  await eventually("nothing left", async () => same(await traces(host), before) && namespacesOf(pods).length === 0);
}

/** Waits double, but for a quarter that is drawn at random; however often it is tried, there is one event. */
async function patience({ host }: Lab): Promise<void> {
  await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "patient", image: "never:1" }));
  const [uid = ""] = await eventually("its pod", async () => {
    const uids = await podUids(host, "patient");
    return uids.length > 0 && uids;
  });
  const waits = await eventually("five tries", async () => {
    const lines = (await readFile(join(host.dataDir, "daemon.log"), "utf8")).split("\n");
    const seen = lines.flatMap((line) => (line.includes(uid) ? [/"waitMs":(\d+)/.exec(line)?.[1] ?? []] : [])).flat();
    return seen.length >= 5 && seen.slice(0, 5).map(Number);
  });
  for (const [index, wait] of waits.entries()) {
    const whole = 100 * 2 ** index;
    assert.ok(wait >= whole * 0.75 && wait <= whole, `wait ${index} is ${wait} ms`);
  }
  assert.equal((await events(host, "patient", "Warning")).length, 1);
  await host.kubectlOk(["delete", "vmi", "patient"]);
}

async function slowPlugin({ host, network }: Lab): Promise<void> {
  await network.endingWith("hangs");
  await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "waiting" }));
  await eventually(
    "Ready tells of the wait",
    async () => (await condition(host, "waiting", "Ready", "reason")) === "PB3028",
  );
  const message = await eventually("its event", async () =>
    (await events(host, "waiting", "Normal")).find((event) => event.startsWith("PB3028 ")),
  );
  assert.match(message, /"hangs" .* has not answered yet; it is given 5 s/);
  // Deleting it calls the plugin off.
  await host.kubectlOk(["delete", "vmi", "waiting", "--timeout=120s"]);
  await network.sound();
}

async function isReady(host: TestHost, name: string): Promise<void> {
  await eventually(`${name} is ready`, async () => (await condition(host, name, "Ready", "status")) === "True");
}

function condition(host: TestHost, name: string, type: string, field: string): Promise<string> {
  return host.value("vmi", name, `.status.conditions[?(@.type=="${type}")].${field}`);
}

/** `REASON MESSAGE` of each event of a VMI. */
async function events(host: TestHost, name: string, type: "Normal" | "Warning"): Promise<readonly string[]> {
  const text = await host.kubectlOk(["get", "events", "-o", "json"]);
  const { items } = JSON.parse(text) as {
    readonly items: readonly {
      readonly type: string;
      readonly reason: string;
      readonly message: string;
      readonly involvedObject: { readonly name: string };
    }[];
  };
  return items
    .filter((event) => event.type === type && event.involvedObject.name === name)
    .map(({ reason, message }) => `${reason} ${message}`);
}

async function podUids(host: TestHost, name: string): Promise<readonly string[]> {
  const uids = await host.kubectlOk([
    "get",
    "pods",
    "-l",
    `vm.kubevirt.io/name=${name}`,
    "-o",
    "jsonpath={.items[*].metadata.uid}",
  ]);
  return uids.split(" ").filter((uid) => uid !== "");
}

/** Without what the test itself changes, and what the store unpacks once for every guest. */
async function traces(host: TestHost): Promise<Traces> {
  const all = await tracesOf(host);
  const files = (all["files"] ?? []).filter((file) => !/^(lab|images)\/|\.fill$/.test(file));
  return { ...all, files };
}

function same(one: Traces, other: Traces): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

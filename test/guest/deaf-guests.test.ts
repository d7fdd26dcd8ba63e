// Guests that do not hear their power button hold up nobody but themselves: no other pod, no daemon that stops.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { PARALLEL } from "../../src/node/agent.ts";
import type { PodRecord } from "../../src/node/records.ts";
import { blankManifest, makeBlankImage } from "../blank-guest.ts";
import { eventually, isProcess, type TestGuest, TestHost } from "../daemon.ts";
import { needs } from "../needs.ts";
import { ready } from "./attachments.ts";

/** A guest that boots nothing, so that nobody in it hears a power button. */
function deafManifest(name: string): string {
  return blankManifest({ name, spec: { terminationGracePeriodSeconds: 3_600 } });
}

test("guests that shut down slowly", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  const host = await TestHost.make(t);
  await makeBlankImage(join(host.dataDir, "images"));
  await host.up();
  const names = Array.from({ length: PARALLEL }, (_, index) => `deaf-${index}`);
  await host.kubectlOk(["apply", "-f", "-"], names.map(deafManifest).join("---\n"));
  await ready(host, ...names);
  const deaf = await Promise.all(names.map((name) => host.guest(name)));
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step("as many as are worked on at once: another VMI starts all the same", async () => {
    await host.kubectlOk(["delete", "vmi", ...names, "--wait=false"]);
    await eventually("all to be asked", () =>
      Promise.resolve(deaf.every((guest) => askedOf(host, guest) !== undefined)),
    );
    await host.kubectlOk(["apply", "-f", "-"], blankManifest({ name: "late" }));
    await ready(host, "late");
    for (const { qemuPid } of deaf) assert.ok(isProcess(qemuPid));
    assert.equal((await deletedPods(host)).length, PARALLEL);
  });

  await step("a daemon that stops does not wait for them, and the next one starts no time anew", async () => {
    const asked = deaf.map((guest) => askedOf(host, guest));
    const stopped = await host.patchbay(["down"]);
    assert.equal(stopped.code, 0, stopped.stderr);
    await host.up();
    assert.equal((await deletedPods(host)).length, PARALLEL);
    // What is asked after the deleted pods shows that they were looked at.
    await host.kubectlOk(["delete", "vmi", "late"]);
    for (const { qemuPid } of deaf) assert.ok(isProcess(qemuPid));
    assert.deepEqual(
      deaf.map((guest) => askedOf(host, guest)),
      asked,
    );
  });

  await step("their pods deleted again with no time at all, they are ended at once", async () => {
    const pods = await deletedPods(host);
    await host.kubectlOk(["delete", ...pods, "--grace-period=0", "--force"]);
    await eventually("their end", async () => (await host.kubectlOk(["get", "vmi,pods", "-o", "name"])) === "");
    for (const { qemuPid } of deaf) assert.equal(isProcess(qemuPid), false);
  });
});

async function deletedPods(host: TestHost): Promise<readonly string[]> {
  const shown = '{range .items[?(@.metadata.deletionTimestamp)]}{"pod/"}{.metadata.name}{"\\n"}{end}';
  const text = await host.kubectlOk(["get", "pods", "-o", `jsonpath=${shown}`]);
  return text.split("\n").filter((name) => name !== "");
}

/** When and with what a guest was asked to shut down, by its pod's record. */
function askedOf(host: TestHost, { podUid }: TestGuest): PodRecord["shutdown"] {
  const record: PodRecord = JSON.parse(readFileSync(join(host.dataDir, "pods", `${podUid}.json`), "utf8"));
  return record.shutdown;
}

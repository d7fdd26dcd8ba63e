import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir, uptime } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type GuestShutdowns, guestShutdowns } from "./guest-shutdowns.ts";
import { openPodRecords, type PodRecord } from "./records.ts";

const POD: PodRecord = {
  version: 1,
  podUid: "pod",
  pod: { namespace: "default", name: "pod" },
  vmi: { namespace: "default", name: "vmi", uid: "vmi" },
  netns: "/none",
  stage: "network",
};

/** A folder of records and a guest whose power button counts. */
function stage(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-shutdowns-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  openPodRecords(folder).put(POD);
  let presses = 0;
  const failures: unknown[] = [];
  return {
    folder,
    failures,
    guest: {
      pressPowerButton: () => {
        presses += 1;
        return Promise.resolve();
      },
    },
    presses: () => presses,
    /** As a daemon that has just started sees it. */
    daemon: (): GuestShutdowns =>
      guestShutdowns({ records: openPodRecords(folder), failed: (_podUid, error) => failures.push(error) }),
    record: () => openPodRecords(folder).get("pod"),
  };
}

test("a guest is asked once, and has what is left of its time at each look", (t) => {
  const { guest, presses, daemon, record } = stage(t);
  const shutdowns = daemon();
  const first = shutdowns.ask("pod", guest, undefined);
  assert.ok(first <= 30_000 && first > 0, String(first));
  assert.ok(shutdowns.ask("pod", guest, undefined) <= first);
  assert.equal(presses(), 1);
  assert.equal(record()?.shutdown?.graceSeconds, 30);
  assert.equal(shutdowns.why("pod"), undefined);
});

test("less time cuts it, more does not extend it, none ends it unasked", (t) => {
  const { guest, presses, daemon } = stage(t);
  const shutdowns = daemon();
  shutdowns.ask("pod", guest, 3_600);
  assert.ok(shutdowns.ask("pod", guest, 60) <= 60_000);
  assert.ok(shutdowns.ask("pod", guest, 3_600) <= 60_000);
  assert.equal(shutdowns.ask("pod", guest, 0), 0);
  assert.equal(shutdowns.ask("pod", guest, 3_600), 0);
  assert.equal(presses(), 1);
  shutdowns.forget("pod");
  assert.equal(stage(t).daemon().ask("pod", guest, 0), 0);
  assert.equal(presses(), 1, "who has no time is not asked");
});

test("the next daemon asks again, for the time that was left and with the same reason", (t) => {
  const { folder, guest, presses, daemon } = stage(t);
  const why = { code: "PB6109", message: "It does not live." };
  daemon().ask("pod", guest, 600, why);
  const records = openPodRecords(folder);
  // That was nine minutes ago.
  records.put({ ...POD, shutdown: { since: uptime() - 540, graceSeconds: 600, why } });
  const next = daemon();
  assert.deepEqual(next.why("pod"), why);
  const left = next.ask("pod", guest, 600);
  assert.ok(left > 0 && left <= 60_000, String(left));
  assert.equal(presses(), 2);
  records.put({ ...POD, shutdown: { since: uptime() - 601, graceSeconds: 600, why } });
  assert.equal(daemon().ask("pod", guest, 600), 0);
  assert.equal(presses(), 2);
});

test("a pod that is gone from the API leaves its guest the time that it was given", (t) => {
  const { guest, daemon } = stage(t);
  daemon().ask("pod", guest, 3_600);
  assert.ok(daemon().ask("pod", guest, undefined) > 3_000_000);
});

test("what cannot be kept on disk is told, and holds all the same", (t) => {
  const { folder, failures, guest, presses, daemon } = stage(t);
  const shutdowns = daemon();
  rmSync(folder, { recursive: true });
  const left = shutdowns.ask("pod", guest, 60);
  assert.ok(shutdowns.ask("pod", guest, 60) <= left);
  assert.equal(presses(), 1);
  assert.match(String(failures[0]), /PB6107|cannot be written/);
});

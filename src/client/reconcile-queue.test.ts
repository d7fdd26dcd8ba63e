import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeReconcileQueue } from "./reconcile-queue.ts";

/** A promise and the means to settle it. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

describe("a reconcile queue", () => {
  test("runs a key once at a time, and once more for all that came meanwhile", async () => {
    const runs: string[] = [];
    const first = gate();
    const again = gate();
    const queue = makeReconcileQueue(async (key) => {
      runs.push(key);
      if (runs.length === 1) await first.opened;
      else again.open();
    });
    queue.add("a");
    await Promise.resolve();
    await Promise.resolve();
    queue.add("a");
    queue.add("a");
    first.open();
    await again.opened;
    await queue.close();
    assert.deepEqual(runs, ["a", "a"]);
  });

  test("runs at most so many at once", async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    const all = gate();
    const queue = makeReconcileQueue(
      async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        done += 1;
        if (done === 20) all.open();
      },
      { parallel: 3 },
    );
    for (let index = 0; index < 20; index += 1) queue.add(`key-${index}`);
    await all.opened;
    await queue.close();
    assert.equal(most, 3);
  });

  test("tries again after a failure, with waits that grow to the cap, and says so", async () => {
    const waits: number[] = [];
    const done = gate();
    let runs = 0;
    const queue = makeReconcileQueue(
      async () => {
        runs += 1;
        if (runs <= 4) throw new Error("not yet");
        done.open();
      },
      { firstRetryMs: 4, lastRetryMs: 10, failed: (_key, _error, wait) => waits.push(wait) },
    );
    queue.add("a");
    await done.opened;
    await queue.close();
    assert.equal(waits.length, 4);
    assert.ok(
      waits.every((wait, index) => wait <= ([4, 8, 10, 10][index] ?? 0) && wait >= 3),
      String(waits),
    );
  });

  test("the earlier of two waits counts", async () => {
    const ran = gate();
    const queue = makeReconcileQueue(async () => ran.open());
    queue.after("a", 3_600_000);
    queue.after("a", 1);
    queue.after("a", 7_200_000);
    await ran.opened;
    await queue.close();
  });

  test("closes: aborts the running, drops the waiting", async () => {
    const runs: string[] = [];
    const started = gate();
    const queue = makeReconcileQueue(
      async (key, signal) => {
        runs.push(key);
        started.open();
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      },
      { parallel: 1 },
    );
    queue.add("a");
    queue.add("b");
    queue.after("c", 0);
    await started.opened;
    await queue.close();
    queue.add("d");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(runs, ["a"]);
  });
});

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exclusively } from "./exclusive.ts";

function lockFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-lock-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "lock");
}

/** A holder of the lock, from when the promise resolves until `release`. */
async function held(path: string): Promise<{ release(): void; readonly done: Promise<void> }> {
  const holding = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const done = exclusively(path, () => {
    holding.resolve();
    return end.promise;
  });
  await holding.promise;
  return { release: end.resolve, done };
}

test("one at a time, and who waits is told for whom", async (t) => {
  const path = lockFile(t);
  const { release, done } = await held(path);
  const order: string[] = [];
  const line = await new Promise<string>((resolve) => {
    const second = exclusively(path, () => Promise.resolve(order.push("second")), { onWait: resolve });
    t.after(() => second);
  });
  assert.match(line, new RegExp(`^waiting until process ${process.pid} \\(.+\\) is done with ${join(path, "..")}$`));
  order.push("first");
  release();
  await done;
  await exclusively(path, () => Promise.resolve(order.push("third")));
  assert.equal(order[0], "first");
});

test("waiting can be called off", async (t) => {
  const path = lockFile(t);
  const { release, done } = await held(path);
  const controller = new AbortController();
  const waiting = exclusively(path, () => Promise.reject(new Error("it must not run")), { signal: controller.signal });
  controller.abort(new Error("called off"));
  await assert.rejects(waiting, { message: "called off" });
  release();
  await done;
});

test("nobody is told who need not wait", async (t) => {
  await exclusively(lockFile(t), () => Promise.resolve(), { onWait: (line) => assert.fail(line) });
});

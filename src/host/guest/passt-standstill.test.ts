import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../../model/fault.ts";
import { watchForStandstill } from "./passt-standstill.ts";
import { type ProcessId, startTimeOf } from "./process.ts";

const LOOK_MS = 20;

/** A process that stands for passt. */
function run(t: TestContext, code: string): { readonly child: ChildProcess; readonly id: ProcessId } {
  const child = spawn(process.execPath, ["-e", code], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
  assert.ok(child.pid !== undefined && startTime !== undefined);
  return { child, id: { pid: child.pid, startTime } };
}

const silent = { execute: () => Promise.reject(new Fault("PB5057", "No answer.")) };

test("one that computes without end is told of once, where QEMU is silent", async (t) => {
  const { id } = run(t, "for (;;);");
  let told = 0;
  await new Promise<void>((resolve) => {
    t.after(
      watchForStandstill(
        id,
        silent,
        () => {
          told += 1;
          resolve();
        },
        LOOK_MS,
      ),
    );
  });
  await sleep(10 * LOOK_MS);
  assert.equal(told, 1);
});

test("one that waits is not, and a busy one is not as long as QEMU answers", async (t) => {
  let asked = 0;
  const never = (): void => assert.fail("told");
  const idle = run(t, "setInterval(() => undefined, 1000);");
  const busy = run(t, "for (;;);");
  const answering = {
    execute: async () => {
      asked += 1;
    },
  };
  t.after(watchForStandstill(idle.id, silent, never, LOOK_MS));
  t.after(watchForStandstill(busy.id, answering, never, LOOK_MS));
  while (asked < 3) await sleep(LOOK_MS);
});

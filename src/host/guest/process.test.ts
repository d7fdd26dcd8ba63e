import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { findQemuUser, goneWithin, isRunning, kill, startTimeOf } from "./process.ts";

test("a process is known by its number and its start, whatever its name", async (t) => {
  const folder = fs.mkdtempSync(`${tmpdir()}/process-`);
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const program = `${folder}/a) Z 1 (b`;
  fs.copyFileSync("/bin/sleep", program);
  fs.chmodSync(program, 0o755);
  const child = spawn(program, ["60"], { stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "spawn");
  const pid = child.pid ?? 0;
  const startTime = startTimeOf(pid);
  assert.ok(startTime !== undefined && startTime > 0);
  const id = { pid, startTime };
  assert.equal(isRunning(id), true);
  assert.equal(isRunning({ pid, startTime: startTime - 1 }), false);

  kill({ pid, startTime: startTime - 1 });
  assert.equal(await goneWithin(id, 50), false, "another start is another process: it is not touched");
  kill(id);
  assert.equal(await goneWithin(id, 60_000), true);
  kill(id);
  assert.equal(startTimeOf(pid), undefined);
});

test("a user that is not there, and root, are refused", () => {
  for (const name of ["no-such-user-here", "root", ""]) {
    assert.throws(
      () => findQemuUser(name),
      (thrown) => isFault(thrown, "PB5054") && /patchbay setup/.test(thrown.cure ?? ""),
    );
  }
});

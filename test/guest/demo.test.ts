import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../needs.ts";
import { guestImageFolder } from "./image-cache.ts";

const RUNS = "the guest runs after";
const PATCHBAY = join(import.meta.dirname, "../../patchbay");

test("a demo that is interrupted leaves neither its folder nor a process", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage")) return;
  const demo = spawn(PATCHBAY, ["demo", "--image-dir", await guestImageFolder()], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => demo.kill("SIGKILL"));
  let said = "";
  const ended = once(demo, "exit");
  for (const stream of [demo.stdout, demo.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      const began = said.includes(RUNS);
      said += text;
      // Once: a second Ctrl-C ends it without cleaning up.
      if (!began && said.includes(RUNS)) demo.kill("SIGINT");
    });
  }
  const [code, signal] = await ended;
  assert.deepEqual([code, signal], [null, "SIGINT"], said);
  const folder = /a daemon in (\S+)/.exec(said)?.[1];
  assert.ok(folder !== undefined && !existsSync(folder), said);
  assert.match(said, /cleaning up/);
  assert.deepEqual(
    commandLines().filter((line) => line.includes(folder)),
    [],
  );
});

/** Of every process; one that ended meanwhile has none. */
function commandLines(): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });
}

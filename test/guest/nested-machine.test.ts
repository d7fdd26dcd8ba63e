import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { needs } from "../needs.ts";
import { type MachineOptions, runInMachine } from "../nested/machine.ts";

const needed = ["root", "qemu", "guestImage"] as const;

/** Runs a shell script in a nested machine; what became of it, with all that was heard. */
async function inside(
  t: TestContext,
  script: string,
  more: Partial<MachineOptions> = {},
): Promise<{ readonly status: number; readonly output: string; readonly progress: string; readonly folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-outside-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [output, progress]: [Uint8Array[], string[]] = [[], []];
  const status = await runInMachine(["sh", "-c", script], {
    cwd: folder,
    timeLimitMs: 500_000,
    onOutput: (bytes) => output.push(bytes),
    onProgress: (line) => progress.push(line),
    ...more,
  });
  return { status, output: Buffer.concat(output).toString(), progress: progress.join("\n"), folder };
}

function controlFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("patchbay-nested-"));
}

test("a command runs as root on Debian's kernel, where it is, and what it writes goes with the machine", async (t) => {
  if (!needs(t, ...needed)) return;
  const before = controlFolders();
  const script = `uname -r; id -u; pwd; echo "$GIVEN"; ip link add link lo name x type vlan id 7 2>&1; touch here /etc/x; ls; seq 20000; exit 3`;
  const { status, output, folder } = await inside(t, script, { env: { GIVEN: "it's so" } });
  const lines = output.trimEnd().split("\n");
  assert.equal(status, 3);
  assert.match(lines[0] ?? "", /^\d+\.\d+.*-amd64$/);
  assert.deepEqual(lines.slice(1, 4), ["0", folder, "it's so"]);
  assert.ok(!output.includes("Unknown device type"), "the kernel brings its modules");
  assert.ok(lines.includes("here"));
  assert.equal(lines.at(-1), "20000");
  assert.ok(!existsSync(join(folder, "here")) && !existsSync("/etc/x"));
  assert.deepEqual(controlFolders(), before);
});

test("one that does not end is ended, and a machine that breaks says so", async (t) => {
  if (!needs(t, ...needed)) return;
  const { status, progress } = await inside(t, "sleep 1000", { timeLimitMs: 12_000 });
  assert.equal(status, 124);
  assert.match(progress, /stopped after 12 s/);
  await assert.rejects(inside(t, "echo c >/proc/sysrq-trigger; sleep 60"), /ended before its command did[\s\S]*sysrq/);
  const ending = new AbortController();
  const aborted = inside(t, "echo begun; sleep 1000", {
    signal: ending.signal,
    onOutput: () => ending.abort(new Error("enough")),
  });
  await assert.rejects(aborted, /enough/);
});

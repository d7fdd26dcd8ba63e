import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { check, cureText, lacking } from "./check.ts";
import { needs } from "./needs.ts";
import { forbidDaemons } from "./policy.ts";
import { look } from "./probes.ts";
import { findProgram, isStaticElf } from "./programs.ts";
import { takeTurn } from "./turn.ts";

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), "patchbay-setup-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

test("every need has a name of its own and says what brings it", () => {
  assert.equal(new Set(needs.map(({ name }) => name)).size, needs.length);
  for (const { name, why, cure } of needs) {
    assert.notEqual(why, "", name);
    assert.notEqual(cureText(cure), "", name);
  }
});

test("S3.68 S3.69: what passt wants of the node is looked at, and the machine need not have it", () => {
  const wanted = new Map([
    ["net.core.rmem_max", "33554432"],
    ["net.core.wmem_max", "33554432"],
    ["fs.file-max", "9223372036854775807"],
  ]);
  for (const [name, value] of wanted) {
    const need = needs.find((one) => one.name === name);
    assert.deepEqual(need?.probe, { kind: "sysctl", key: name.replaceAll(".", "/"), atLeast: value });
    assert.equal(need?.level, "useful");
    assert.equal(cureText(need.cure), `sysctl -w ${name}=${value}`);
  }
});

test("a probe looks for the thing", (t) => {
  const here = folder(t);
  assert.equal(look({ kind: "program", name: "sh" }).state, "found");
  assert.equal(look({ kind: "program", name: "no-such-program-here" }).state, "missing");
  assert.equal(look({ kind: "library", soname: "libc.so.6" }).state, "found");
  assert.equal(look({ kind: "library", soname: "libnothing.so.1" }).state, "missing");
  assert.equal(look({ kind: "user", name: "root" }).state, "found");
  assert.equal(look({ kind: "user", name: "roo" }).state, "missing");
  assert.deepEqual(look({ kind: "file", anyOf: [join(here, "a"), here] }), { state: "found", where: here });
  assert.equal(look({ kind: "device", path: "/dev/null" }).state, "found");
  assert.equal(look({ kind: "device", path: join(here, "tun") }).state, "missing");
  const setting = (key: string, atLeast: string): string => look({ kind: "sysctl", key, atLeast }).state;
  assert.equal(setting("fs/nr_open", "1024"), "found");
  // One more than the largest number of 64 bits: compared exactly, nothing has it.
  assert.equal(setting("fs/nr_open", "18446744073709551616"), "missing");
  assert.equal(setting("kernel/ostype", "1"), "unknown");
  assert.equal(setting("net/no-such-setting", "1"), "untried");
});

test("a program must be an executable file in PATH or in the system's folders", (t) => {
  const here = folder(t);
  const file = join(here, "tool-of-this-test");
  writeFileSync(file, "#!/bin/sh\n");
  assert.equal(findProgram("tool-of-this-test", here), undefined);
  chmodSync(file, 0o755);
  assert.equal(findProgram("tool-of-this-test", here), file);
  assert.equal(findProgram("tool-of-this-test", ""), undefined);
});

test("a dynamically linked program and a script are not static", (t) => {
  const script = join(folder(t), "script");
  writeFileSync(script, "#!/bin/sh\n");
  assert.equal(isStaticElf(script), false);
  assert.equal(isStaticElf(process.execPath), false);
  const busybox = look({ kind: "static-program", name: "busybox" });
  if (busybox.state === "found") assert.equal(isStaticElf(busybox.where), true);
});

test("what could not be tried is not called lacking, what was not found is", () => {
  const [need] = needs;
  assert.ok(need !== undefined);
  const states = ["found", "missing", "unknown", "untried"] as const;
  const found = states.map((state) => ({
    need: { ...need, name: state },
    sighting: state === "found" ? { state, where: "" } : { state, because: "" },
  }));
  assert.deepEqual(
    lacking(found).map((each) => each.need.name),
    ["missing", "unknown"],
  );
  assert.ok(check(["kubectl"]).every((each) => each.need.neededBy.includes("kubectl")));
});

test("daemons are forbidden for a while, and the machine's own policy comes back", (t) => {
  const here = folder(t);
  const policy = join(here, "policy-rc.d");
  const allow = forbidDaemons(here);
  assert.match(readFileSync(policy, "utf8"), /exit 101/);
  assert.equal(statSync(policy).mode & 0o777, 0o755);
  allow();
  assert.equal(existsSync(policy), false);

  writeFileSync(policy, "#!/bin/sh\nexit 0\n", { mode: 0o700 });
  forbidDaemons(here)();
  assert.equal(readFileSync(policy, "utf8"), "#!/bin/sh\nexit 0\n");
  assert.equal(statSync(policy).mode & 0o777, 0o700);

  // A run that was killed restored nothing: the next one still finds the machine's own.
  forbidDaemons(here);
  forbidDaemons(here)();
  assert.equal(readFileSync(policy, "utf8"), "#!/bin/sh\nexit 0\n");
  rmSync(policy);
  forbidDaemons(here);
  forbidDaemons(here)();
  assert.equal(existsSync(policy), false);
});

test("one setup at a time; the turn of a process that is gone is taken over", (t) => {
  const file = join(folder(t), "turn");
  const end = takeTurn(file);
  assert.throws(
    () => takeTurn(file),
    (thrown) => isFault(thrown, "PB6903") && thrown.message.includes(String(process.pid)),
  );
  end();
  takeTurn(file)();
  for (const left of ["", "4194999 17\n", `${process.pid} 1\n`]) {
    writeFileSync(file, left);
    takeTurn(file)();
  }
  assert.equal(existsSync(file), false);
});

test("another process keeps the turn until it ends, however it ends", async (t) => {
  const file = join(folder(t), "turn");
  const module = new URL("turn.ts", import.meta.url).href;
  const script = `const { takeTurn } = await import(${JSON.stringify(module)}); takeTurn(${JSON.stringify(file)}); console.log("taken"); setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => other.kill("SIGKILL"));
  await once(other.stdout, "data");
  assert.throws(
    () => takeTurn(file),
    (thrown) => isFault(thrown, "PB6903") && thrown.message.includes(`process ${other.pid},`),
  );
  const ended = once(other, "exit");
  other.kill("SIGKILL");
  await ended;
  takeTurn(file)();
});

// The end of a guest's folder, which root removes: what is deep, strange or swapped in it, and what lies outside.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { removeFolder } from "../../src/host/guest/folder-removal.ts";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";

/** Whoever QEMU's user may be, it is not root. */
const OTHER = 65_534;

function world(t: TestContext): { readonly folder: string; readonly victim: string; readonly whole: () => boolean } {
  const made = fs.mkdtempSync(join(tmpdir(), "patchbay-removal-"));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  fs.chmodSync(made, 0o755);
  const victim = join(made, "victim");
  const kept = ["one", "two", "three"];
  fs.mkdirSync(victim);
  for (const name of kept) fs.writeFileSync(join(victim, name), "root's own");
  return { folder: join(made, "folder"), victim, whole: () => fs.readdirSync(victim).length === kept.length };
}

/** A folder of QEMU's user with a folder and files in it, enough of them that their end takes a while. */
function make(folder: string): void {
  fs.mkdirSync(join(folder, "inner"), { recursive: true });
  for (let count = 0; count < 100; count += 1) fs.writeFileSync(join(folder, `file${count}`), "");
  fs.writeFileSync(join(folder, "inner", "file"), "");
  for (const path of [folder, join(folder, "inner")]) fs.chownSync(path, OTHER, OTHER);
}

test("a guest's folder goes with all that is in it, however deep and strange, and no link is followed", async (t) => {
  if (!needs(t, "root")) return;
  const { folder, victim, whole } = world(t);
  await removeFolder(folder);
  make(folder);
  fs.symlinkSync(victim, join(folder, "link"));
  fs.symlinkSync(victim, join(folder, "inner", "link"));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), "");
  fs.mkdirSync(join(folder, "d/".repeat(500)), { recursive: true });
  fs.chmodSync(join(folder, "inner"), 0o000);
  fs.linkSync(join(victim, "one"), join(folder, "hard"));
  await removeFolder(folder);
  assert.ok(!fs.existsSync(folder));
  assert.ok(whole());

  fs.symlinkSync(victim, folder);
  await assert.rejects(removeFolder(folder), /ENOTDIR|ELOOP/);
  assert.ok(whole());
});

/** Puts a link to its second argument in the place of the first, and the folder back, for ever. */
const SWAPPER = `
  const fs = require("node:fs");
  const [inner, victim, uid] = process.argv.slice(1);
  process.setgid(Number(uid));
  process.setuid(Number(uid));
  process.stdout.write("swapping");
  for (;;) {
    try {
      fs.renameSync(inner, inner + "-aside");
      fs.symlinkSync(victim, inner);
      fs.unlinkSync(inner);
      fs.renameSync(inner + "-aside", inner);
    } catch {
      try { fs.renameSync(inner + "-aside", inner); } catch {}
    }
  }
`;

test("links that are swapped in while it goes lead nowhere", async (t) => {
  if (!needs(t, "root")) return;
  const { folder, victim, whole } = world(t);
  const swapper = spawn(process.execPath, ["-e", SWAPPER, join(folder, "inner"), victim, String(OTHER)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => swapper.kill("SIGKILL"));
  let begun = false;
  swapper.stdout.once("data", () => {
    begun = true;
  });
  await eventually("the swapper", () => Promise.resolve(begun));
  for (let round = 0; round < 60; round += 1) {
    // Out of the swapper's reach until it is whole.
    make(`${folder}-made`);
    fs.renameSync(`${folder}-made`, folder);
    await removeFolder(folder);
    assert.ok(whole(), `nothing outside is touched, round ${round}`);
    assert.ok(!fs.existsSync(folder), `it is gone, round ${round}`);
  }
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findQemuUser } from "../../src/host/guest/process.ts";
import { placeHostDisk } from "../../src/host/images/host-disk.ts";
import { isFault } from "../../src/model/fault.ts";
import { needs } from "../needs.ts";

const MEBI = 1 << 20;
const made = { type: "DiskOrCreate", capacity: BigInt(MEBI) } as const;

test("a host disk is a file of its size that QEMU's user has, whatever an earlier start left", async (t) => {
  if (!needs(t, "root", "qemu")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay-host-disk-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const refused = (words: RegExp) => (thrown: unknown) => isFault(thrown, "PB5072") && words.test(thrown.message);

  await Promise.all(["one", "two"].map((name) => placeHostDisk({ path: at("own/new.img"), ...made }, at(name))));
  const [one, two] = [statSync(at("one")), statSync(at("two"))];
  assert.deepEqual([one.size, one.uid, one.mode & 0o777, one.ino], [MEBI, findQemuUser().uid, 0o600, two.ino]);

  // A daemon that was killed between the file and its size.
  writeFileSync(at("begun.img"), "");
  await placeHostDisk({ path: at("begun.img"), ...made }, at("three"));
  assert.equal(statSync(at("three")).size, MEBI);
  writeFileSync(at("kept.img"), "bytes");
  await placeHostDisk({ path: at("kept.img"), ...made }, at("four"));
  assert.equal(readFileSync(at("four"), "utf8"), "bytes");

  mkdirSync(at("folder"));
  symlinkSync(at("kept.img"), at("link"));
  execFileSync("mkfifo", [at("pipe")]);
  for (const name of ["folder", "link", "pipe"]) {
    await assert.rejects(placeHostDisk({ path: at(name), ...made }, at("five")), refused(/is no regular file/));
  }
  const none = { path: at("none"), type: "DiskOrCreate" } as const;
  await assert.rejects(placeHostDisk({ ...none, type: "Disk" }, at("five")), refused(/is not there/));
  await assert.rejects(placeHostDisk(none, at("five")), refused(/no capacity/));
  await assert.rejects(placeHostDisk({ ...none, capacity: 1n << 60n }, at("five")), refused(/ are free/));
  assert.deepEqual(
    readdirSync(folder).filter((name) => ["five", "none"].includes(name)),
    [],
  );
});

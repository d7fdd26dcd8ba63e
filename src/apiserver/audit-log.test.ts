import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { pino } from "pino";
import { type AuditEntry, openAuditLog } from "./audit-log.ts";

const log = pino({ level: "silent" });
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-audit-"));
  file = join(folder, "audit.log");
});

afterEach(() => rmSync(folder, { recursive: true }));

const entry = (name: string): AuditEntry => ({
  time: "2026-01-01T00:00:00.000Z",
  requestId: "00000000-0000-4000-8000-000000000000",
  user: "system:admin",
  verb: "create",
  resource: "configmaps",
  name,
  code: 201,
  dryRun: false,
});

const names = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { name: string }).name);

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("entries come into the file in order, for the owner only, and go on where it ended", async () => {
  const first = openAuditLog(file, log);
  for (const name of ["a", "b"]) first.write(() => entry(name));
  assert.equal(existsSync(file), false);
  await turn();
  assert.deepEqual(names(file), ["a", "b"]);
  first.write(() => entry("c"));
  first.close();
  const second = openAuditLog(file, log);
  second.write(() => entry("d"));
  second.close();
  assert.deepEqual(names(file), ["a", "b", "c", "d"]);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("a full file becomes FILE.1, and so many are kept as are to be", async () => {
  const audit = openAuditLog(file, log, { largest: 400, kept: 2 });
  for (const name of ["a", "b", "c", "d", "e", "f", "g", "h"]) {
    audit.write(() => entry(name));
    await turn();
  }
  audit.close();
  assert.deepEqual(
    [names(`${file}.2`), names(`${file}.1`), names(file)],
    [
      ["c", "d"],
      ["e", "f"],
      ["g", "h"],
    ],
  );
  assert.equal(existsSync(`${file}.3`), false);
  assert.equal(audit.lost, 0);
});

test("what cannot be written is counted, and told in the file when that goes again; a link is not followed", async () => {
  const elsewhere = join(folder, "elsewhere");
  writeFileSync(elsewhere, "");
  symlinkSync(elsewhere, file);
  const audit = openAuditLog(file, log);
  for (const name of ["a", "b"]) audit.write(() => entry(name));
  await turn();
  assert.equal(audit.lost, 2);
  assert.equal(readFileSync(elsewhere, "utf8"), "");
  rmSync(file);
  audit.write(() => entry("c"));
  audit.close();
  const [kept, told] = readFileSync(file, "utf8").split("\n");
  assert.equal((JSON.parse(kept ?? "") as { name: string }).name, "c");
  assert.equal((JSON.parse(told ?? "") as { lost: number }).lost, 2);
  assert.equal(audit.lost, 2);
});

test("a name is kept as far as a name can go", () => {
  const audit = openAuditLog(file, log);
  audit.write(() => entry("x".repeat(20_000)));
  audit.close();
  assert.equal(names(file)[0]?.length, 253);
});

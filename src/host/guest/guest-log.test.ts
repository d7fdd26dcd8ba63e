import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { type TestContext, test } from "node:test";
import { cut, lastWords } from "./guest-log.ts";

function folder(t: TestContext): string {
  const path = fs.mkdtempSync(`${tmpdir()}/guest-log-`);
  t.after(() => fs.rmSync(path, { recursive: true }));
  return path;
}

test("the last words are the last lines from the start of this QEMU on, without time stamps", (t) => {
  const log = `${folder(t)}/qemu.log`;
  const before = "2026-01-01T00:00:00.000000Z qemu: of an earlier run\n";
  fs.writeFileSync(log, `${before}2026-01-02T03:04:05.678901Z qemu: cannot open\n\n  as the file is gone \n`);
  assert.equal(lastWords(log, before.length), "qemu: cannot open\n  as the file is gone");
  assert.match(lastWords(log), /earlier run/);
  assert.equal(lastWords(log, 10_000), "");
  assert.equal(lastWords(`${log}.none`), "");
  fs.writeFileSync(log, Array.from({ length: 5000 }, (_, line) => `line ${line}\n`).join(""));
  assert.equal(lastWords(log).split("\n").at(-1), "line 4999");
  assert.equal(lastWords(log).split("\n").length, 6);
});

test("a long log keeps its end, and a writer that appends goes on behind it", (t) => {
  const log = `${folder(t)}/console.log`;
  const writer = fs.openSync(log, "a");
  fs.writeSync(writer, `${"x".repeat(1000)}end`);
  cut(log, 2000, 10);
  assert.equal(fs.statSync(log).size, 1003);
  cut(log, 1000, 10);
  fs.writeSync(writer, " and more");
  fs.closeSync(writer);
  assert.equal(fs.readFileSync(log, "utf8"), `${"x".repeat(7)}end and more`);
});

test("a link that a guest's QEMU might put in a log's place leads nowhere", (t) => {
  const at = folder(t);
  fs.writeFileSync(`${at}/precious`, "p".repeat(100));
  fs.symlinkSync("precious", `${at}/symbolic`);
  fs.linkSync(`${at}/precious`, `${at}/hard`);
  for (const name of ["symbolic", "hard", "."]) {
    cut(`${at}/${name}`, 10, 1);
    assert.equal(lastWords(`${at}/${name}`), "");
  }
  assert.equal(fs.statSync(`${at}/precious`).size, 100);
});

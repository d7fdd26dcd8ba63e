import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "./make-folder.ts";

test("a folder is made with those above it, and may be there", (t) => {
  const base = mkdtempSync(join(tmpdir(), "patchbay-folder-"));
  t.after(() => rmSync(base, { recursive: true }));
  makeFolder(join(base, "a/b/c"), 0o700);
  makeFolder(join(base, "a/b/c"), 0o711);
  makeFolder(join(base, "a/d/"));
  assert.equal(statSync(join(base, "a/b")).mode & 0o777, 0o700);
  assert.equal(statSync(join(base, "a/b/c")).mode & 0o777, 0o700);
  assert.ok(statSync(join(base, "a/d")).isDirectory());
  writeFileSync(join(base, "file"), "");
  assert.throws(() => makeFolder(join(base, "file")), { code: "EEXIST" });
  assert.throws(() => makeFolder(join(base, "file/x")), { code: "ENOTDIR" });
});

test("where the kernel makes no folders it says so, and there is an end", () => {
  assert.throws(() => makeFolder("/proc/patchbay/x"), { code: /^(ENOENT|EACCES|EPERM)$/ });
});

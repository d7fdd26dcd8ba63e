import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { placeVariables } from "../../src/host/guest/efi.ts";
import { openImageStore } from "../../src/host/images/store.ts";
import { isFault } from "../../src/model/fault.ts";
import { needs } from "../needs.ts";

test("a full disk is said, and leaves the store as it was", async (t) => {
  if (!needs(t, "root")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay-full-"));
  const small = join(folder, "small");
  execFileSync("mkdir", [small]);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", small]);
  t.after(() => {
    execFileSync("umount", [small]);
    rmSync(folder, { recursive: true, force: true });
  });
  const [fits, large] = [join(folder, "fits"), join(folder, "large")];
  writeFileSync(fits, Buffer.alloc(1024 * 1024));
  writeFileSync(large, Buffer.alloc(8 * 1024 * 1024));

  const store = await openImageStore(join(small, "images"));
  const image = await store.create("a", [{ path: "/f", source: fits }]);
  await assert.rejects(store.create("a", [{ path: "/f", source: large }]), (thrown) => isFault(thrown, "PB5007"));
  assert.deepEqual(await store.list(), [image]);
  assert.deepEqual(readdirSync(join(small, "images/tmp")), []);
  writeFileSync(join(small, "filler"), Buffer.alloc(2560 * 1024));
  await assert.rejects(store.extract("a", "/f"), (thrown) => isFault(thrown, "PB5007"));
  assert.deepEqual(readdirSync(join(small, "images/tmp")), []);

  const guest = join(small, "guest");
  mkdirSync(guest);
  const variables = placeVariables({ code: fits, variables: large }, join(guest, "variables.fd"));
  await assert.rejects(variables, (thrown) => isFault(thrown, "PB5007"));
  assert.deepEqual(readdirSync(guest), []);
});

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GUEST_IMAGE, guestPaths } from "../host/images/build-guest.ts";
import { openImageStore } from "../host/images/store.ts";
import { isFault } from "../model/fault.ts";
import { probeKernel } from "./probe-kernel.ts";

test("the kernel is taken out of the test guest; without one, or out of a broken image, there is none", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-kernel-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [file, images] = [join(folder, "file"), join(folder, "images")];
  writeFileSync(file, "kernel");
  const store = await openImageStore(images);
  const heard: unknown[] = [];
  const kernel = () => probeKernel(store, (error) => heard.push(error));
  assert.equal(await kernel(), undefined);
  const { digest } = await store.create(GUEST_IMAGE, [{ path: guestPaths.kernel, source: file }]);
  assert.equal(readFileSync((await kernel()) ?? "", "utf8"), "kernel");
  assert.deepEqual(heard, []);
  rmSync(join(images, "blobs/sha256", digest.slice("sha256:".length)));
  assert.equal(await kernel(), undefined);
  assert.ok(heard.length === 1 && isFault(heard[0], "PB5002"));
});

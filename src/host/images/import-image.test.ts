import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { importImage } from "./import-image.ts";
import { openImageStore } from "./store.ts";

/** A header of QEMU's (docs/interop/qcow2.txt), version 3; `backing`: where the name of another file is. */
function qcow2(backing = 0n): Buffer {
  const disk = Buffer.alloc(4096, "guest");
  disk.writeUInt32BE(0x514649fb, 0);
  disk.writeUInt32BE(3, 4);
  disk.writeBigUInt64BE(backing, 8);
  disk.writeBigUInt64BE(0n, 72);
  return disk;
}

test("a qcow2 disk alone becomes a containerDisk image; archives are taken as they are", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-import-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [disk, images] = [join(folder, "debian-12.img"), join(folder, "images")];
  const store = await openImageStore(images);
  writeFileSync(disk, qcow2());
  const image = await importImage(store, "debian:12", disk);
  assert.equal(image.name, "debian:12");
  assert.deepEqual(await store.files("debian:12", "/disk"), ["disk.qcow2"]);
  assert.deepEqual(readFileSync(await store.extract("debian:12", "/disk/disk.qcow2")), qcow2());
  assert.equal((await importImage(store, "debian:12", images)).digest, image.digest);

  writeFileSync(disk, qcow2(1024n));
  await assert.rejects(importImage(store, "part", disk), (thrown) => isFault(thrown, "PB5002"));
  for (const bytes of ["", "raw"]) {
    writeFileSync(disk, bytes);
    await assert.rejects(importImage(store, "raw", disk), (thrown) => isFault(thrown, "PB5002"));
  }
  writeFileSync(disk, qcow2());
  const reason = new Error("interrupted");
  await assert.rejects(importImage(store, "late", disk, AbortSignal.abort(reason)), reason);
  assert.deepEqual((await store.list()).length, 1);
  assert.deepEqual(readdirSync(join(images, "tmp")), []);
});

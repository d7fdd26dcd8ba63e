import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildGuest, GUEST_IMAGE } from "../../src/host/images/build-guest.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { type ImageStore, openImageStore } from "../../src/host/images/store.ts";

/** Where all tests of a machine keep their images. */
export const CACHE = process.env["PATCHBAY_TEST_CACHE"] ?? "/var/cache/patchbay-test";
const SOURCES = ["../../guest", "../../src/host/images"].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/**
 * A store with the test guest, built once for all tests of a machine and again when what it is built from changes.
 *
 * It lies in PATCHBAY_TEST_CACHE, else in /var/cache/patchbay-test.
 */
export async function guestImages(): Promise<ImageStore> {
  await mkdir(CACHE, { recursive: true });
  return exclusively(join(CACHE, "lock"), async () => {
    const store = await openImageStore(join(CACHE, "images"));
    const keyFile = join(CACHE, "guest.key");
    const key = await sourcesKey();
    const built = await readFile(keyFile, "utf8").catch(() => "");
    if (built === key && (await store.resolve(GUEST_IMAGE)) !== undefined) return store;
    await buildGuest({ store, cacheDir: join(CACHE, "packages"), onProgress: () => {} });
    await writeFile(keyFile, key);
    return store;
  });
}

/** The folder of that store, for a daemon's `--image-dir`. */
export async function guestImageFolder(): Promise<string> {
  await guestImages();
  return join(CACHE, "images");
}

async function sourcesKey(): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of SOURCES) {
    for (const name of (await readdir(folder)).filter((file) => !file.endsWith(".test.ts")).sort()) {
      hash.update(`${name}\0`).update(await readFile(join(folder, name)));
    }
  }
  return hash.digest("hex");
}

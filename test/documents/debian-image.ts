import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildDebian, DEBIAN_IMAGE } from "../../src/host/images/build-debian.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { type ImageStore, openImageStore } from "../../src/host/images/store.ts";
import { CACHE } from "../guest/image-cache.ts";

const SOURCES = join(import.meta.dirname, "../../src/host/images");

/** Where the store with the Debian guest is, for a daemon's `--image-dir`. */
export const debianImageFolder = join(CACHE, "debian-images");

/** A store with the Debian guest, built once for all tests of a machine and again when what it is built by changes. */
export async function debianImages(onProgress: (line: string) => void): Promise<ImageStore> {
  await mkdir(CACHE, { recursive: true });
  return exclusively(join(CACHE, "debian.lock"), async () => {
    const store = await openImageStore(debianImageFolder);
    const keyFile = join(CACHE, "debian.key");
    const key = await sourcesKey();
    const built = await readFile(keyFile, "utf8").catch(() => "");
    if (built === key && (await store.resolve(DEBIAN_IMAGE)) !== undefined) return store;
    onProgress(`▶ making ${DEBIAN_IMAGE}`);
    await buildDebian({ store, cacheDir: join(CACHE, "packages"), onProgress: (line) => onProgress(`  ${line}`) });
    await writeFile(keyFile, key);
    return store;
  });
}

async function sourcesKey(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(SOURCES)).filter((file) => /debian.*(?<!\.test)\.ts$/.test(file)).sort()) {
    hash.update(`${name}\0`).update(await readFile(join(SOURCES, name)));
  }
  return hash.digest("hex");
}

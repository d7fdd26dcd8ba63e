import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isNoSpace, noRoom } from "../full-disk.ts";
import type { BuildOptions } from "./build-guest.ts";
import { bootPackages, writeDebianDisk } from "./debian-disk.ts";
import { debianCommands, debianFiles, debianPackages } from "./debian-files.ts";
import { openDebianPackages } from "./debian-packages.ts";
import { inSystem, installSystem } from "./debian-root.ts";
import { exclusively } from "./exclusive.ts";
import type { ImageDigest } from "./reference.ts";

/** The name of the Debian guest. */
export const DEBIAN_IMAGE = "patchbay/debian:12";
const RELEASE = "bookworm";
const DISK = "/disk/debian.qcow2";
/** What the guest sees; its files take a sixth of it. */
const DISK_MIB = 4096;
/** What the folder of a build begins with; the test guest clears away its own in the same place. */
const WORK = "debian-building-";

/**
 * Builds a Debian 12 cloud disk by debootstrap, from the machine's own package sources, and puts it in the store as
 * {@link DEBIAN_IMAGE}, for containerDisk.
 *
 * Nothing is installed on this machine; needs root. Packages are kept in `cacheDir`, so that a later build needs no network;
 * builds in one `cacheDir` take turns. A build that fails or is killed leaves the image as it was. Fails with PB5005 to
 * PB5007.
 */
export async function buildDebian(options: BuildOptions): Promise<ImageDigest> {
  const { cacheDir, onProgress, signal } = options;
  try {
    await mkdir(cacheDir, { recursive: true });
    return await exclusively(join(cacheDir, "build-debian.lock"), () => build(options), { onWait: onProgress, signal });
  } catch (thrown) {
    if (isNoSpace(thrown)) throw noRoom(cacheDir, thrown);
    throw thrown;
  }
}

async function build({ store, cacheDir, onProgress, signal }: BuildOptions): Promise<ImageDigest> {
  for (const name of await readdir(cacheDir)) {
    // Of a build that was killed: the lock is this one's.
    if (name.startsWith(WORK)) await rm(join(cacheDir, name), { recursive: true, force: true });
  }
  const packages = await openDebianPackages(cacheDir, onProgress, signal);
  const system = await packages.system(RELEASE, debianPackages);
  const work = await mkdtemp(join(cacheDir, WORK));
  try {
    const [tools, root, disk] = [join(work, "tools"), join(work, "root"), join(work, "debian.qcow2")];
    await packages.unpack(["debootstrap", ...bootPackages], tools);
    onProgress(`installing ${system.length} packages`);
    await installSystem(root, { tools, release: RELEASE, packages: system, work, onProgress, signal });
    for (const [path, text] of Object.entries(debianFiles)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    onProgress("setting the system up");
    for (const command of debianCommands) await inSystem(root, command, signal);
    onProgress("making the bootable disk");
    await writeDebianDisk(root, disk, { tools, mib: DISK_MIB, work, signal });
    signal?.throwIfAborted();
    onProgress(`storing ${DEBIAN_IMAGE}`);
    const image = await store.create(DEBIAN_IMAGE, [{ path: DISK, source: disk }], signal);
    onProgress(`${image.name} is ${image.digest}`);
    return image.digest;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { openDebianPackages } from "./debian-packages.ts";
import { exclusively } from "./exclusive.ts";
import { diskPackages, writeGuestDisk } from "./guest-disk.ts";
import { guestInitrd, guestPackages } from "./guest-initrd.ts";
import { kernelElf } from "./kernel-elf.ts";
import type { ImageDigest } from "./reference.ts";
import type { ImageStore } from "./store.ts";

/** The name of the test guest. */
export const GUEST_IMAGE = "patchbay/guest:latest";

/** Its files, in the image; `bzImage` is the same kernel as EFI starts it. */
export const guestPaths = {
  kernel: "/boot/vmlinuz",
  bzImage: "/boot/bzImage",
  initrd: "/boot/initrd",
  disk: "/disk/guest.qcow2",
} as const;

/**
 * Kernel arguments for a quick start on an emulated processor: no calibration of clocks that QEMU keeps exact anyway, no
 * self-tests, no defences against neighbours that a test guest does not have. Interfaces are called eth0, eth1, ….
 */
export const GUEST_KERNEL_ARGS =
  "console=ttyS0 quiet tsc=reliable no_timer_check mitigations=off cryptomgr.notests apparmor=0 audit=0 net.ifnames=0 random.trust_cpu=on panic=-1";

/** Unpacks the kernel; busybox's own cannot read an x86 kernel's xz stream. */
const TOOL_PACKAGES = ["xz-utils"];

/** Where the guest is built, and into what. */
export interface BuildOptions {
  readonly store: ImageStore;
  /** Keeps packages from one build to the next. */
  readonly cacheDir: string;
  readonly onProgress: (line: string) => void;
  /** Ends it; its reason is thrown, or what failed because of it. */
  readonly signal?: AbortSignal;
}

/** What the folder of a build begins with. */
const WORK = "building-";

/**
 * Builds the test guest from Debian's packages and puts it in the store as {@link GUEST_IMAGE}.
 *
 * Packages are unpacked in `cacheDir`, none is installed; builds in one `cacheDir` take turns. The same packages give the
 * same digest; a build that fails or is killed leaves the image as it was. Fails with PB5005 to PB5008.
 */
export async function buildGuest(options: BuildOptions): Promise<ImageDigest> {
  const { cacheDir, onProgress, signal } = options;
  try {
    await mkdir(cacheDir, { recursive: true });
    return await exclusively(join(cacheDir, "build.lock"), () => build(options), { onWait: onProgress, signal });
  } catch (thrown) {
    if (isNoSpace(thrown)) throw noRoom(cacheDir, thrown);
    throw thrown;
  }
}

async function build(options: BuildOptions): Promise<ImageDigest> {
  const { cacheDir, onProgress, signal } = options;
  for (const name of await readdir(cacheDir)) {
    // Of a build that was killed: the lock is this one's.
    if (name.startsWith(WORK)) await rm(join(cacheDir, name), { recursive: true, force: true });
  }
  const packages = await openDebianPackages(cacheDir, onProgress, signal);
  const kernelPackage = await packages.dependency("linux-image-amd64", "linux-image-");
  const release = kernelPackage.slice("linux-image-".length);
  const work = await mkdtemp(join(cacheDir, WORK));
  try {
    const root = join(work, "root");
    await packages.unpack([kernelPackage, ...guestPackages, ...diskPackages, ...TOOL_PACKAGES], root);
    signal?.throwIfAborted();
    return await assemble(options, work, root, release);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function assemble(
  { store, onProgress, signal }: BuildOptions,
  work: string,
  root: string,
  release: string,
): Promise<ImageDigest> {
  const bzImage = join(root, "boot", `vmlinuz-${release}`);
  const [kernel, initrd, disk] = [join(work, "vmlinuz"), join(work, "initrd"), join(work, "guest.qcow2")];
  onProgress(`making kernel and initrd of Linux ${release}`);
  await writeFile(kernel, await kernelElf(await readFile(bzImage), join(root, "usr/bin/xz")));
  await writeFile(initrd, await guestInitrd(root, release));
  signal?.throwIfAborted();
  onProgress("making the bootable disk");
  await writeGuestDisk(root, { kernel: bzImage, initrd, kernelArgs: GUEST_KERNEL_ARGS }, disk, work);
  signal?.throwIfAborted();
  onProgress(`storing ${GUEST_IMAGE}`);
  const image = await store.create(GUEST_IMAGE, [
    { path: guestPaths.kernel, source: kernel },
    { path: guestPaths.bzImage, source: bzImage },
    { path: guestPaths.initrd, source: initrd },
    { path: guestPaths.disk, source: disk },
  ]);
  onProgress(`${image.name} is ${image.digest}`);
  return image.digest;
}

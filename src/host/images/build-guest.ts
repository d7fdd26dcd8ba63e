import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openDebianPackages } from "./debian-packages.ts";
import { diskPackages, writeGuestDisk } from "./guest-disk.ts";
import { guestInitrd, guestPackages } from "./guest-initrd.ts";
import { kernelElf } from "./kernel-elf.ts";
import type { ImageDigest } from "./reference.ts";
import { isNoSpace, noRoom } from "./run-program.ts";
import type { ImageStore } from "./store.ts";

/** The name of the test guest. */
export const GUEST_IMAGE = "patchbay/guest:latest";

/** Its files, in the image. */
export const guestPaths = { kernel: "/boot/vmlinuz", initrd: "/boot/initrd", disk: "/disk/guest.qcow2" } as const;

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
}

/**
 * Builds the test guest from Debian's packages and puts it in the store as {@link GUEST_IMAGE}.
 *
 * Packages are unpacked in `cacheDir`, none is installed. The same packages give the same digest; a build that fails or is
 * killed leaves the image as it was. Fails with PB5005 to PB5008.
 */
export async function buildGuest({ store, cacheDir, onProgress }: BuildOptions): Promise<ImageDigest> {
  try {
    await mkdir(cacheDir, { recursive: true });
    const packages = await openDebianPackages(cacheDir, onProgress);
    const kernelPackage = await packages.dependency("linux-image-amd64", "linux-image-");
    const release = kernelPackage.slice("linux-image-".length);
    const work = await mkdtemp(join(cacheDir, "build-"));
    try {
      const root = join(work, "root");
      await packages.unpack([kernelPackage, ...guestPackages, ...diskPackages, ...TOOL_PACKAGES], root);
      return await assemble(store, work, root, release, onProgress);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  } catch (thrown) {
    if (isNoSpace(thrown)) throw noRoom(cacheDir, thrown);
    throw thrown;
  }
}

async function assemble(
  store: ImageStore,
  work: string,
  root: string,
  release: string,
  onProgress: (line: string) => void,
): Promise<ImageDigest> {
  const bzImage = join(root, "boot", `vmlinuz-${release}`);
  const [kernel, initrd, disk] = [join(work, "vmlinuz"), join(work, "initrd"), join(work, "guest.qcow2")];
  onProgress(`making kernel and initrd of Linux ${release}`);
  await writeFile(kernel, await kernelElf(await readFile(bzImage), join(root, "usr/bin/xz")));
  await writeFile(initrd, await guestInitrd(root, release));
  onProgress("making the bootable disk");
  await writeGuestDisk(root, { kernel: bzImage, initrd, kernelArgs: GUEST_KERNEL_ARGS }, disk, work);
  onProgress(`storing ${GUEST_IMAGE}`);
  const image = await store.create(GUEST_IMAGE, [
    { path: guestPaths.kernel, source: kernel },
    { path: guestPaths.initrd, source: initrd },
    { path: guestPaths.disk, source: disk },
  ]);
  onProgress(`${image.name} is ${image.digest}`);
  return image.digest;
}

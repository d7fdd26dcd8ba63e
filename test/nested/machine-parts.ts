import { createHash } from "node:crypto";
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ArchiveEntry, cpioArchive } from "../../src/host/images/cpio.ts";
import { openDebianPackages } from "../../src/host/images/debian-packages.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { kernelElf } from "../../src/host/images/kernel-elf.ts";
import { builtInModules, selectModules } from "../../src/host/images/kernel-modules.ts";
import { runProgram } from "../../src/host/images/run-program.ts";

const CACHE = process.env["PATCHBAY_TEST_CACHE"] ?? "/var/cache/patchbay-test";
const SOURCES = [import.meta.filename, fileURLToPath(new URL("init", import.meta.url))];

/** What the root is reached by, and what a test's output goes through. */
const BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"];
/** Folders of the kernel package's modules that are kept: no hardware but QEMU's. */
const KEPT = ["arch", "crypto", "lib", "net", "virt", "fs/9p", "fs/fscache", "fs/netfs", "fs/overlayfs"];
const KEPT_DRIVERS = ["char", "dca", "i2c", "net", "pps", "ptp", "vfio", "vhost", "virtio"];
const DROPPED_DRIVERS = ["net/usb", "net/wireless"];
/** Of those for real cards: QEMU's igb, whose functions guests drive by igbvf. */
const ETHERNET = "drivers/net/ethernet";
const KEPT_ETHERNET = ["intel/igb/igb.ko", "intel/igbvf/igbvf.ko"];

/** Files of the nested machine, all in one folder. */
export interface MachineParts {
  /** The kernel as an ELF file. */
  readonly kernel: string;
  readonly initrd: string;
  /** A folder as /lib/modules. */
  readonly modules: string;
  /** busybox, static. */
  readonly busybox: string;
}

/**
 * Debian's kernel with an initramfs that leads to this machine's own root; made once for all tests of a machine, and again
 * when this file changes. Nothing is installed.
 *
 * It lies in PATCHBAY_TEST_CACHE, else in /var/cache/patchbay-test; the packages are those of the test guest.
 */
export async function machineParts(onProgress: (line: string) => void): Promise<MachineParts> {
  const folder = join(CACHE, "nested");
  await mkdir(folder, { recursive: true });
  const hash = createHash("sha256");
  for (const file of SOURCES) hash.update(await readFile(file));
  const ready = join(folder, hash.digest("hex").slice(0, 16));
  await exclusively(
    join(folder, "lock"),
    async () => {
      const present = (await readdir(folder)).filter((name) => name !== "lock");
      if (present.includes(ready.slice(folder.length + 1))) return;
      for (const name of present) await rm(join(folder, name), { recursive: true, force: true });
      const work = await mkdtemp(join(folder, "making-"));
      await make(work, onProgress);
      await rename(work, ready);
    },
    { onWait: onProgress },
  );
  return {
    kernel: join(ready, "kernel"),
    initrd: join(ready, "initrd"),
    modules: join(ready, "modules"),
    busybox: join(ready, "busybox"),
  };
}

async function make(work: string, onProgress: (line: string) => void): Promise<void> {
  const packages = await openDebianPackages(join(CACHE, "packages"), onProgress);
  const kernelPackage = await packages.dependency("linux-image-amd64", "linux-image-");
  const release = kernelPackage.slice("linux-image-".length);
  const root = join(work, "root");
  await packages.unpack([kernelPackage, "busybox-static", "xz-utils"], root);
  onProgress(`making the nested machine of Linux ${release}`);
  const bzImage = await readFile(join(root, "boot", `vmlinuz-${release}`));
  await writeFile(join(work, "kernel"), await kernelElf(bzImage, join(root, "usr/bin/xz")));
  const busybox = join(work, "busybox");
  await copyFile(join(root, "bin/busybox"), busybox);
  await chmod(busybox, 0o755);
  await writeFile(join(work, "initrd"), await initrd(join(root, "lib/modules", release), busybox));
  await keepModules(join(root, "lib/modules", release), join(work, "lib/modules", release));
  await runProgram(busybox, ["depmod", "-b", work, release]);
  await rename(join(work, "lib/modules"), join(work, "modules"));
  await rm(root, { recursive: true });
}

async function initrd(modules: string, busybox: string): Promise<Buffer> {
  const builtIn = builtInModules(await readFile(join(modules, "modules.builtin"), "utf8"));
  const set = await selectModules(join(modules, "kernel"), BOOT_MODULES, builtIn);
  const folders = ["bin", "dev", "low", "modules", "proc", "root", "sys", "up"];
  const file = (path: string, mode: number, data: string | Uint8Array): ArchiveEntry => ({
    kind: "file",
    path,
    mode,
    data: typeof data === "string" ? Buffer.from(data) : data,
  });
  return cpioArchive([
    ...folders.map((path): ArchiveEntry => ({ kind: "directory", path, mode: 0o755 })),
    { kind: "device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    file("init", 0o755, await readFile(new URL("init", import.meta.url))),
    file("bin/busybox", 0o755, await readFile(busybox)),
    file("modules/order", 0o644, set.modules.map((module) => `${module.file}\n`).join("")),
    ...set.modules.map((module) => file(`modules/${module.file}`, 0o644, module.data)),
  ]);
}

async function keepModules(from: string, to: string): Promise<void> {
  const dropped = new Set(DROPPED_DRIVERS.map((path) => join(from, "kernel/drivers", path)));
  const ethernet = join(from, "kernel", ETHERNET);
  const cards = KEPT_ETHERNET.map((path) => join(ethernet, path));
  const isKept = (source: string): boolean =>
    !dropped.has(source) && (!source.startsWith(ethernet) || cards.some((card) => card.startsWith(source)));
  for (const path of [...KEPT, ...KEPT_DRIVERS.map((driver) => `drivers/${driver}`)]) {
    const target = join(to, "kernel", path);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(from, "kernel", path), target, { recursive: true, filter: isKept });
  }
  for (const name of ["modules.builtin", "modules.order"]) await copyFile(join(from, name), join(to, name));
}

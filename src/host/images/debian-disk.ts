import { open, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { masterBootRecord, PARTITION_START, SECTOR } from "./master-boot-record.ts";
import { runProgram } from "./run-program.ts";

/** Debian's packages whose programs make the disk bootable; they are used where they were unpacked. */
export const bootPackages = ["grub-common", "grub-pc-bin", "libdevmapper1.02.1"] as const;

/** Label of the root file system, by which the kernel's command line names it. */
export const ROOT_LABEL = "debian-root";

const MIB = 1024 * 1024;
/** Linux (partition types of the PC's master boot record). */
const PARTITION_TYPE = 0x83;
/** Any number: what a file system is called must not change from one build to the next. */
const UUID = "50420002-0000-4000-8000-000000000000";
/** What grub's first image loads is one sector behind it, which is where grub expects the rest when nothing was patched. */
const CORE_SECTOR = 1;
const GRUB_MODULES = ["biosdisk", "part_msdos", "ext2", "normal", "linux", "configfile"];

/** How a disk is made. */
export interface DiskOptions {
  /** Has the unpacked {@link bootPackages}. */
  readonly tools: string;
  /** MiB that the guest sees; what it does not use takes no room. */
  readonly mib: number;
  readonly work: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a qcow2 disk that a BIOS boots: one ext4 partition with the files of `root`, and grub, which reads
 * `/boot/grub/grub.cfg` there. Nothing is mounted. Fails with PB5005, PB5007.
 */
export async function writeDebianDisk(root: string, target: string, options: DiskOptions): Promise<void> {
  const { tools, mib, work, signal } = options;
  const run = (program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runProgram(program, args, { env, ...(signal && { signal }) });
  const [disk, early, core] = [join(work, "disk.raw"), join(work, "early.cfg"), join(work, "core.img")];
  await writeFile(disk, "");
  await truncate(disk, mib * MIB);
  const features = ["-L", ROOT_LABEL, "-U", UUID, "-E", `hash_seed=${UUID},offset=${PARTITION_START * SECTOR}`];
  const blocks = `${(mib * MIB - PARTITION_START * SECTOR) / 1024}k`;
  await run("mkfs.ext4", ["-q", "-F", "-b", "4096", "-m", "0", ...features, "-d", root, disk, blocks], {
    E2FSPROGS_FAKE_TIME: "1",
  });
  const modules = join(tools, "usr/lib/grub/i386-pc");
  await writeFile(early, "set root=(hd0,msdos1)\nconfigfile /boot/grub/grub.cfg\n");
  await run(
    join(tools, "usr/bin/grub-mkimage"),
    ["-d", modules, "-O", "i386-pc", "-p", "(hd0,msdos1)/boot/grub", "-c", early, "-o", core, ...GRUB_MODULES],
    { LD_LIBRARY_PATH: join(tools, "lib/x86_64-linux-gnu") },
  );
  await writeBootLoader(disk, join(modules, "boot.img"), core, (mib * MIB) / SECTOR - PARTITION_START);
  // Compressed by what an emulated guest reads fast.
  await run("qemu-img", [
    ...["convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", "-m", "4", "-W"],
    ...[disk, target],
  ]);
}

async function writeBootLoader(disk: string, bootImage: string, coreImage: string, sectors: number): Promise<void> {
  const file = await open(disk, "r+");
  try {
    const record = masterBootRecord(await readFile(bootImage), PARTITION_TYPE, sectors);
    await file.write(record, 0, undefined, 0);
    await file.write(await readFile(coreImage), 0, undefined, CORE_SECTOR * SECTOR);
  } finally {
    await file.close();
  }
}

import { mkdtemp, open, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { masterBootRecord, PARTITION_START, SECTOR } from "./master-boot-record.ts";
import { runProgram } from "./run-program.ts";

/** Debian's packages whose programs write the disk; they are used where they were unpacked. */
export const diskPackages = ["dosfstools", "mtools", "syslinux", "syslinux-common"] as const;

/** FAT32, LBA (partition types of the PC's master boot record). */
const PARTITION_TYPE = 0x0c;
const MIB = 1024 * 1024;
/** Any number: what the volume is called must not change from one build to the next. */
const VOLUME_ID = "50420001";

/** What a disk is made of. */
export interface DiskContents {
  /** A bzImage: boot loaders of a PC start no other kernel. */
  readonly kernel: string;
  readonly initrd: string;
  readonly kernelArgs: string;
}

/**
 * Writes a qcow2 disk that a BIOS boots: one FAT partition with syslinux, a kernel and an initrd.
 *
 * `root` holds the unpacked {@link diskPackages}. Nothing is mounted, and root is not needed. The same input gives the same bytes.
 */
export async function writeGuestDisk(
  root: string,
  contents: DiskContents,
  target: string,
  scratch: string,
): Promise<void> {
  const folder = await mkdtemp(join(scratch, "disk-"));
  try {
    const raw = join(folder, "disk.raw");
    const partition = join(folder, "partition.img");
    const sizes = await Promise.all(
      [contents.kernel, contents.initrd].map(async (file) => (await readFile(file)).length),
    );
    const mib = Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / MIB) + 40;
    await writePartition(root, contents, partition, mib, folder);
    const bootCode = await readFile(join(root, "usr/lib/SYSLINUX/mbr.bin"));
    await writeFile(raw, masterBootRecord(bootCode, PARTITION_TYPE, (mib * MIB) / SECTOR));
    await truncate(raw, (mib + 1) * MIB);
    const disk = await open(raw, "r+");
    try {
      await disk.write(await readFile(partition), 0, undefined, PARTITION_START * SECTOR);
    } finally {
      await disk.close();
    }
    await runProgram("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, target]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writePartition(
  root: string,
  contents: DiskContents,
  image: string,
  mib: number,
  folder: string,
): Promise<void> {
  const mtools = join(folder, "bin");
  await runProgram("mkdir", [mtools]);
  // mtools does what the name says that it is called by; syslinux calls it too.
  for (const name of ["mcopy", "mattrib", "mmove", "mdel"])
    await symlink(join(root, "usr/bin/mtools"), join(mtools, name));
  const env = {
    PATH: `${mtools}:/usr/bin:/bin`,
    SOURCE_DATE_EPOCH: "0",
    TZ: "UTC",
    MTOOLS_SKIP_CHECK: "1",
  };
  const config = join(folder, "syslinux.cfg");
  await writeFile(
    config,
    `DEFAULT guest\nPROMPT 0\nLABEL guest\n  LINUX /vmlinuz\n  INITRD /initrd\n  APPEND ${contents.kernelArgs}\n`,
  );
  await writeFile(image, "");
  await truncate(image, mib * MIB);
  await runProgram(
    join(root, "sbin/mkfs.fat"),
    ["-F", "32", "-i", VOLUME_ID, "-n", "GUEST", "--invariant", "-h", String(PARTITION_START), image],
    { env },
  );
  const put = (source: string, name: string): Promise<Buffer> =>
    runProgram("mcopy", ["-i", image, source, `::${name}`], { env });
  await put(contents.kernel, "vmlinuz");
  await put(contents.initrd, "initrd");
  await put(config, "syslinux.cfg");
  await put(join(root, "usr/lib/syslinux/modules/bios/ldlinux.c32"), "ldlinux.c32");
  await runProgram(join(root, "usr/bin/syslinux"), ["--install", image], { env, cwd: folder });
}

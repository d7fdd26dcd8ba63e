import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../model/fault.ts";
import { runProgram } from "./run-program.ts";

/** Offsets of the boot header (Documentation/x86/boot.rst). */
const HEADER = { setupSectors: 0x1f1, magic: 0x202, payloadOffset: 0x248, payloadLength: 0x24c } as const;

/**
 * The ELF kernel inside a bzImage whose payload is compressed with xz, as Debian's is.
 *
 * QEMU starts it by its PVH entry; that saves an emulated machine the four seconds in which the bzImage would unpack itself.
 * `xz` is the program to unpack with. Fails with PB5008.
 */
export async function kernelElf(bzImage: Buffer, xz: string): Promise<Buffer> {
  if (bzImage.length < 0x260 || bzImage.toString("latin1", HEADER.magic, HEADER.magic + 4) !== "HdrS") {
    throw new Fault("PB5008", "The kernel is not a bzImage.");
  }
  const code = ((bzImage[HEADER.setupSectors] ?? 0) + 1) * 512;
  const start = code + bzImage.readUInt32LE(HEADER.payloadOffset);
  // The payload ends with the size of what it holds, four bytes that are not part of the xz stream.
  const end = start + bzImage.readUInt32LE(HEADER.payloadLength) - 4;
  if (end + 4 > bzImage.length || bzImage.readUInt32BE(start) !== 0xfd377a58) {
    throw new Fault("PB5008", "The kernel's payload is not compressed with xz.");
  }
  const folder = await mkdtemp(join(tmpdir(), "patchbay-kernel-"));
  try {
    const packed = join(folder, "payload.xz");
    await writeFile(packed, bzImage.subarray(start, end));
    const elf = await runProgram(xz, ["--decompress", "--stdout", packed]);
    if (elf.length !== bzImage.readUInt32LE(end) || elf.readUInt32BE(0) !== 0x7f454c46) {
      throw new Fault("PB5008", "The kernel's payload is not an ELF file of the size it states.");
    }
    return elf;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

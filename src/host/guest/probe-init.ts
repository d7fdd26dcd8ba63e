import { type ArchiveEntry, cpioArchive } from "../images/cpio.ts";

/** QEMU's exit code when {@link probeInitrd}'s program ran: isa-debug-exit makes 2n+1 of the n written to its port. */
export const INIT_REACHED = 33;
/** The port of isa-debug-exit. */
export const EXIT_PORT = 0xf4;

const BASE = 0x400000;
const HEADERS = 64 + 56;

/** x86-64: ioperm(0xf4, 1, 1); write 0x10 to port 0xf4; loop. */
const CODE = Uint8Array.of(
  ...[0xb8, 173, 0, 0, 0],
  ...[0xbf, EXIT_PORT, 0, 0, 0],
  ...[0xbe, 1, 0, 0, 0],
  ...[0xba, 1, 0, 0, 0],
  ...[0x0f, 0x05],
  ...[0xb0, 0x10],
  ...[0x66, 0xba, EXIT_PORT, 0],
  0xee,
  ...[0xeb, 0xfe],
);

/** An initramfs whose /init tells QEMU that a process of the guest runs, and ends it so. */
export function probeInitrd(): Uint8Array {
  const init: ArchiveEntry = { kind: "file", path: "init", mode: 0o755, data: executable(CODE) };
  return cpioArchive([init]);
}

/** A static ELF64 program of one segment, elf(5). */
function executable(code: Uint8Array): Uint8Array {
  const image = new Uint8Array(HEADERS + code.length);
  const view = new DataView(image.buffer);
  const size = BigInt(image.length);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(BASE + HEADERS), true); // e_entry
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint16(52, 64, true); // e_ehsize
  view.setUint16(54, 56, true); // e_phentsize
  view.setUint16(56, 1, true); // e_phnum
  view.setUint32(64, 1, true); // PT_LOAD
  view.setUint32(68, 5, true); // PF_R | PF_X
  view.setBigUint64(80, BigInt(BASE), true); // p_vaddr
  view.setBigUint64(88, BigInt(BASE), true); // p_paddr
  view.setBigUint64(96, size, true); // p_filesz
  view.setBigUint64(104, size, true); // p_memsz
  view.setBigUint64(112, 0x1000n, true); // p_align
  image.set(code, HEADERS);
  return image;
}

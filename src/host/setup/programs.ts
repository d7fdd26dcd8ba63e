import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A user's PATH on Debian lacks the folders in which nft, useradd and ip may lie. */
const systemFolders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The folders of PATH and then the system's own, each once. */
function searchFolders(path: string): readonly string[] {
  return [...new Set([...path.split(delimiter), ...systemFolders])].filter((folder) => folder !== "");
}

/** PATH for a program that itself calls others, which may lie in the system's own folders. */
export function searchPath(path: string = process.env["PATH"] ?? ""): string {
  return searchFolders(path).join(delimiter);
}

/** The path of a program in PATH or in the system's own folders. */
export function findProgram(name: string, path: string = process.env["PATH"] ?? ""): string | undefined {
  for (const folder of searchFolders(path)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here; the next folder.
    }
  }
  return undefined;
}

/**
 * True when an ELF program asks for no interpreter (no PT_INTERP among its program headers), so that it runs in an
 * initrd that holds no library. Source: elf(5).
 */
export function isStaticElf(file: string): boolean {
  const head = new Uint8Array(4096);
  const fd = openSync(file, "r");
  let length: number;
  try {
    length = readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  const view = new DataView(head.buffer, 0, length);
  const elf64LittleEndian = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
  if (length < 64 || elf64LittleEndian.some((byte, at) => view.getUint8(at) !== byte)) return false;
  const tableAt = Number(view.getBigUint64(32, true));
  const entrySize = view.getUint16(54, true);
  const entries = view.getUint16(56, true);
  for (let index = 0; index < entries; index++) {
    const at = tableAt + index * entrySize;
    if (at + 4 > length) return false;
    if (view.getUint32(at, true) === 3) return false;
  }
  return true;
}

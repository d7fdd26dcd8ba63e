/** One member of an archive: a directory, a file, a symbolic link or a character device. */
export type ArchiveEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly data: Uint8Array }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
      readonly kind: "device";
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const TYPE_BITS = { directory: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const;

/**
 * An archive in cpio's "newc" format, as the kernel reads an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * Paths are relative to the root, without a leading slash. The same entries give the same bytes: members are sorted,
 * belong to root and carry no time.
 */
export function cpioArchive(entries: readonly ArchiveEntry[]): Buffer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const members = sorted.flatMap((entry, index) => member(entry, index + 1));
  return Buffer.concat([
    ...members,
    ...member({ kind: "file", path: "TRAILER!!!", mode: 0, data: new Uint8Array() }, 0),
  ]);
}

function member(entry: ArchiveEntry, inode: number): Uint8Array[] {
  const data =
    entry.kind === "file" ? entry.data : entry.kind === "link" ? Buffer.from(entry.target) : new Uint8Array();
  const name = Buffer.from(`${entry.path}\0`);
  const permissions = entry.kind === "link" ? 0o777 : entry.mode;
  const fields = [
    inode,
    inode === 0 ? 0 : TYPE_BITS[entry.kind] | permissions,
    0,
    0,
    1,
    0,
    data.length,
    0,
    0,
    entry.kind === "device" ? entry.major : 0,
    entry.kind === "device" ? entry.minor : 0,
    name.length,
    0,
  ];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  const head = Buffer.concat([Buffer.from(header), name]);
  return [head, padding(head.length), data, padding(data.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((4 - (length % 4)) % 4);
}

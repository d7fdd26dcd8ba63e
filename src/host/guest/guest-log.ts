import * as fs from "node:fs";

/** Where a log is cut, and how much of its end stays. */
const LIMIT = 4 << 20;
const KEEP = 1 << 20;
const CHECK_MS = 2_000;
const WORDS_LINES = 6;
const WORDS_BYTES = 4096;

/**
 * Cuts files that QEMU appends to whenever they have grown beyond `limit` bytes, so that a talkative guest cannot fill
 * the disk; their last `keep` bytes stay. The function returned ends that.
 */
export function keepBounded(paths: readonly string[], limit: number = LIMIT, keep: number = KEEP): () => void {
  const timer = setInterval(() => {
    for (const path of paths) cut(path, limit, keep);
  }, CHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Who reads a file while it may be cut, by its path. */
const readers = new Map<string, Set<(removed: number) => void>>();

/** Calls `moved` with how many bytes went from a file's beginning whenever it is cut, until the function returned is called. */
export function onCut(path: string, moved: (removed: number) => void): () => void {
  const all = readers.get(path) ?? new Set();
  readers.set(path, all.add(moved));
  return () => {
    all.delete(moved);
    if (all.size === 0) readers.delete(path);
  };
}

/** Cuts one file where it is too long. Lines that come while it is cut may be lost. */
export function cut(path: string, limit: number, keep: number): void {
  withFile(path, fs.constants.O_RDWR, (fd, size) => {
    if (size <= limit) return;
    const tail = read(fd, size - keep, keep);
    fs.ftruncateSync(fd, 0);
    fs.writeSync(fd, tail, 0, tail.length, 0);
    for (const moved of readers.get(path) ?? []) moved(size - tail.length);
  });
}

/** The last lines of a log from byte `from` on, without QEMU's time stamps, as one text; empty where there are none. */
export function lastWords(path: string, from = 0): string {
  let text = "";
  try {
    withFile(path, fs.constants.O_RDONLY, (fd, size) => {
      const start = Math.max(Math.min(from, size), size - WORDS_BYTES);
      text = new TextDecoder().decode(read(fd, start, size - start));
    });
  } catch {
    // That a guest ended must be told even where the disk cannot say what it said.
  }
  return text
    .split("\n")
    .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, "").trimEnd())
    .filter((line) => line !== "")
    .slice(-WORDS_LINES)
    .join("\n");
}

/** The folder may be QEMU's own: nothing but a plain file with one name is touched there. */
function withFile(path: string, flags: number, use: (fd: number, size: number) => void): void {
  let fd: number;
  try {
    fd = fs.openSync(path, flags | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch {
    return;
  }
  try {
    const stat = fs.fstatSync(fd);
    if (stat.isFile() && stat.nlink === 1) use(fd, stat.size);
  } finally {
    fs.closeSync(fd);
  }
}

function read(fd: number, from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, fs.readSync(fd, bytes, 0, length, from));
}

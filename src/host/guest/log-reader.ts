import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { onCut } from "./guest-log.ts";

/** A file that a guest's QEMU, or a process beside it, appends to. */
export interface LogSource {
  readonly path: string;
  /** What stands before each of its lines, where one reads several files as one. */
  readonly lineStart?: string;
}

/** What of the files is read. */
export interface LogReading {
  /** Only so many of the last lines of what is there at first, of all files together. */
  readonly tailLines?: number;
  /** Reads on as the files grow, until there will be nothing more, and then what is left. */
  readonly follow?: { readonly over: () => boolean; readonly signal: AbortSignal };
}

const PIECE = 64 << 10;
/** Of a file that is longer than any that is kept bounded, the end: whose user QEMU's folder is may have put it there. */
const MOST = 8 << 20;
const LOOK_MS = 250;
const NEWLINE = 0x0a;

/**
 * Reads such files, one after the other, in pieces of at most 64 KiB and a line; with `follow`, what comes later as it
 * comes. A file that is not there yet is read once it is. Lines that are cut off while they are read are left out.
 */
export async function* readLogs(
  sources: readonly LogSource[],
  { tailLines, follow }: LogReading = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const files = sources.map((source) => openLog(source));
  try {
    if (tailLines !== undefined) skipToLast(files, tailLines);
    let over = false;
    for (;;) {
      for (const file of files) yield* file.more(over || follow === undefined);
      if (over || follow === undefined || follow.signal.aborted) return;
      // Looked at before the last look at the files: what was printed until then is read.
      over = follow.over();
      if (!over) await sleep(LOOK_MS, undefined, { signal: follow.signal }).catch(() => undefined);
    }
  } finally {
    for (const file of files) file.close();
  }
}

interface OpenLog {
  /** What came since; `last`: a line without an end, too. */
  more(last: boolean): Generator<Uint8Array>;
  /** Begins so many lines before the end; says how many there were of them. */
  skipToLast(lines: number): number;
  close(): void;
}

function skipToLast(files: readonly OpenLog[], lines: number): void {
  let wanted = lines;
  for (const file of files.toReversed()) wanted -= file.skipToLast(wanted);
}

function openLog({ path, lineStart }: LogSource): OpenLog {
  let fd = openPlain(path);
  let position = fd === undefined ? 0 : Math.max(0, sizeOf(fd) - MOST);
  const forget = onCut(path, (removed) => {
    position = Math.max(0, position - removed);
  });
  const begin = lineStart === undefined ? undefined : new TextEncoder().encode(lineStart);

  /** The next piece; undefined where there is none yet. */
  function next(last: boolean): Uint8Array | undefined {
    if (fd === undefined) {
      fd = openPlain(path);
      position = 0;
    }
    if (fd === undefined) return undefined;
    const { size, nlink } = fs.fstatSync(fd);
    // Its writer began anew.
    if (size < position) position = size;
    const replaced = nlink === 0 && fs.existsSync(path);
    const bytes = readAt(fd, position, Math.min(PIECE, size - position));
    if (bytes.length === 0) {
      if (replaced) reopen();
      return undefined;
    }
    if (begin === undefined) {
      position += bytes.length;
      return bytes;
    }
    // Lines of several files are not mixed; one that is longer than a piece is broken.
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    const taken = end > 0 ? bytes.subarray(0, end) : last || replaced || bytes.length === PIECE ? bytes : undefined;
    position += taken?.length ?? 0;
    if (taken === undefined) return undefined;
    const whole = replaced && end === 0 ? Buffer.concat([taken, Buffer.of(NEWLINE)]) : taken;
    return withLineStarts(whole, begin);
  }

  /** The file was removed, and there is another of its name. */
  function reopen(): void {
    if (fd !== undefined) fs.closeSync(fd);
    fd = undefined;
  }

  return {
    *more(last) {
      for (let piece = next(last); piece !== undefined; piece = next(last)) yield piece;
    },
    skipToLast(lines) {
      if (fd === undefined) return 0;
      const found = lastLines(fd, position, lines);
      position = found.at;
      return found.lines;
    },
    close() {
      forget();
      if (fd !== undefined) fs.closeSync(fd);
    },
  };
}

/** Where the last `wanted` lines begin, and how many of them there are from byte `first` on. */
function lastLines(fd: number, first: number, wanted: number): { readonly at: number; readonly lines: number } {
  const size = sizeOf(fd);
  if (wanted === 0 || size <= first) return { at: size, lines: 0 };
  // The last line counts whether or not it has its end.
  let lines = 1;
  let end = size - 1;
  while (end > first) {
    const start = Math.max(first, end - PIECE);
    const bytes = readAt(fd, start, end - start);
    for (let at = bytes.lastIndexOf(NEWLINE); at >= 0; at = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1)) {
      if (lines === wanted) return { at: start + at + 1, lines };
      lines += 1;
    }
    end = start;
  }
  return { at: first, lines };
}

function withLineStarts(bytes: Uint8Array, begin: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, from);
    const end = newline < 0 ? bytes.length : newline + 1;
    parts.push(begin, bytes.subarray(from, end));
    from = end;
  }
  return Buffer.concat(parts);
}

/** The folder may be QEMU's own: nothing but a plain file with one name is read there. */
function openPlain(path: string): number | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  const stat = fs.fstatSync(fd);
  if (stat.isFile() && stat.nlink === 1) return fd;
  fs.closeSync(fd);
  return undefined;
}

function sizeOf(fd: number): number {
  return fs.fstatSync(fd).size;
}

function readAt(fd: number, from: number, length: number): Uint8Array {
  if (length <= 0) return new Uint8Array(0);
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, fs.readSync(fd, bytes, 0, length, from));
}

import type { ArchiveEntry } from "./cpio.ts";

/** One member of a tar archive, as far as an image layer needs it. */
export interface TarMember {
  /** Without leading `/` or `./` and without a slash at the end. */
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink" | "hardlink" | "other";
  /** Target of a link. */
  readonly target: string;
  readonly size: number;
}

/** Bytes of a tar archive in whatever pieces they come. */
export type ByteSource = AsyncIterable<Uint8Array>;

const BLOCK = 512;
/** Largest size that fits in 11 octal digits. */
const MOST_OCTAL = 8 ** 11 - 1;
/** Largest extended header or long name that is read into memory; real ones are a few hundred bytes. */
const MOST_HEADER = 1024 * 1024;

/** What is wrong with an archive; callers know its name and make a Fault of it. */
export class TarError extends Error {
  static override readonly name = "TarError";
}

/**
 * Reads a tar archive (ustar, pax and GNU long names; POSIX.1-2017 pax) from its beginning to its end.
 *
 * `wanted` is called for each member; where it gives a sink, the sink gets the member's bytes in order. Throws TarError.
 */
export async function readTar(
  source: ByteSource,
  wanted: (member: TarMember) => ((data: Uint8Array) => Promise<void>) | undefined,
): Promise<void> {
  const reader = blockReader(source);
  let extended: Readonly<Record<string, string>> = {};
  for (;;) {
    const header = await reader.take(BLOCK);
    if (header === undefined || header.every((byte) => byte === 0)) return;
    if (!isChecked(header)) throw new TarError("a header's checksum is wrong");
    const type = String.fromCharCode(header[156] ?? 0);
    const size = extended["size"] === undefined ? number(header, 124, 12) : Number(extended["size"]);
    if (!Number.isSafeInteger(size) || size < 0) throw new TarError("a member's size cannot be read");
    const padded = Math.ceil(size / BLOCK) * BLOCK;
    if (type === "x" || type === "g" || type === "L" || type === "K") {
      if (size > MOST_HEADER) throw new TarError("an extended header is too long");
      const data = (await reader.need(padded)).subarray(0, size);
      if (type === "x") extended = { ...extended, ...paxRecords(data) };
      if (type === "L") extended = { ...extended, path: text(data, 0, size) };
      if (type === "K") extended = { ...extended, linkpath: text(data, 0, size) };
      continue;
    }
    const kind = kindOf(type);
    const bytes = kind === "file" ? size : 0;
    const member: TarMember = {
      path: plain(extended["path"] ?? name(header)),
      kind,
      target: extended["linkpath"] ?? text(header, 157, 100),
      size: bytes,
    };
    extended = {};
    await reader.pass(kind === "file" ? padded : 0, bytes, wanted(member));
  }
}

/** A member's path without what means nothing in it. */
export function plain(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}

/** Header and padding of one ustar member; its bytes go between the two. Paths are at most 100 bytes. */
export function tarFrame(
  entry:
    | Exclude<ArchiveEntry, { kind: "device" | "file" }>
    | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly size: number },
): {
  readonly header: Buffer;
  readonly padding: Buffer;
} {
  if (Buffer.byteLength(entry.path) > 99) throw new TarError(`the path ${entry.path} is too long`);
  const size = entry.kind === "file" ? entry.size : 0;
  const header = Buffer.alloc(BLOCK);
  header.write(entry.kind === "directory" ? `${entry.path}/` : entry.path, 0);
  header.write(`${octal(entry.kind === "link" ? 0o777 : entry.mode, 7)}\0`, 100);
  header.write(
    `${octal(0, 7)}\0${octal(0, 7)}\0${octal(Math.min(size, MOST_OCTAL), 11)}\0${octal(0, 11)}\0        `,
    108,
  );
  if (size > MOST_OCTAL) {
    // GNU's base-256.
    header.fill(0, 124, 136);
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  header.write({ file: "0", link: "2", directory: "5" }[entry.kind], 156);
  if (entry.kind === "link") header.write(entry.target, 157);
  header.write("ustar\x0000", 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  );
  return { header, padding: Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK) };
}

/** What ends an archive. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}

function kindOf(type: string): TarMember["kind"] {
  switch (type) {
    case "0":
    case "\0":
    case "7":
      return "file";
    case "1":
      return "hardlink";
    case "2":
      return "symlink";
    case "5":
      return "directory";
    default:
      return "other";
  }
}

function name(header: Uint8Array): string {
  const prefix = text(header, 257, 5) === "ustar" && header[262] === 0 ? text(header, 345, 155) : "";
  return prefix === "" ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`;
}

function text(data: Uint8Array, offset: number, length: number): string {
  const field = data.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

/** Octal text, or GNU's base-256 where the first bit is set. */
function number(header: Uint8Array, offset: number, length: number): number {
  const field = header.subarray(offset, offset + length);
  if (((field[0] ?? 0) & 0x80) === 0) {
    const digits = text(field, 0, length).trim();
    return digits === "" ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
  }
  return field.reduce((value, byte, index) => value * 256 + (index === 0 ? byte & 0x7f : byte), 0);
}

function isChecked(header: Uint8Array): boolean {
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
  return number(header, 148, 8) === sum;
}

/** `<length> <key>=<value>\n`, the length counting itself. */
function paxRecords(data: Uint8Array): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(32, at);
    const length = space < 0 ? Number.NaN : Number(new TextDecoder().decode(data.subarray(at, space)));
    if (!Number.isInteger(length) || length < 5 || at + length > data.length)
      throw new TarError("a pax record is broken");
    const record = new TextDecoder().decode(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    if (equals > 0) records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}

interface BlockReader {
  /** That many bytes, or undefined where the source has ended. */
  take(count: number): Promise<Uint8Array | undefined>;
  need(count: number): Promise<Uint8Array>;
  /** Reads `count` bytes and hands on the first `useful` of them. */
  pass(count: number, useful: number, sink: ((data: Uint8Array) => Promise<void>) | undefined): Promise<void>;
}

function blockReader(source: ByteSource): BlockReader {
  const chunks = source[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array();
  /** At most `count` bytes, without copying; empty at the end. */
  const some = async (count: number): Promise<Uint8Array> => {
    while (held.length === 0) {
      const next = await chunks.next();
      if (next.done === true) return held;
      held = next.value;
    }
    const part = held.subarray(0, count);
    held = held.subarray(part.length);
    return part;
  };
  const take = async (count: number): Promise<Uint8Array | undefined> => {
    const first = await some(count);
    if (first.length === count) return first;
    if (first.length === 0) return undefined;
    const whole = new Uint8Array(count);
    whole.set(first);
    for (let at = first.length; at < count; ) {
      const part = await some(count - at);
      if (part.length === 0) throw new TarError("the archive ends too early");
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  };
  return {
    take,
    async need(count) {
      if (count === 0) return new Uint8Array();
      const data = await take(count);
      if (data === undefined) throw new TarError("the archive ends too early");
      return data;
    },
    async pass(count, useful, sink) {
      for (let at = 0; at < count; ) {
        const part = await some(count - at);
        if (part.length === 0) throw new TarError("the archive ends too early");
        if (sink !== undefined && at < useful) await sink(part.subarray(0, useful - at));
        at += part.length;
      }
    },
  };
}

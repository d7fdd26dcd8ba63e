import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../model/fault.ts";
import { LARGEST_MANIFEST, type Manifests, readManifests } from "../model/manifest/read.ts";

/** A manifest's text with the name that findings show. */
export interface ManifestText {
  readonly file: string;
  readonly text: string;
}

/** UTF-8 has at most three bytes a UTF-16 unit: whoever has read more knows that the text is larger than it may be. */
const MOST_BYTES = 3 * LARGEST_MANIFEST;

/**
 * The texts of files, of the YAML, JSON and CNI files of folders, and of stdin (`-`). PB1000 where one cannot be read.
 *
 * A folder's `.conf` that holds no object is some other program's, and is passed over. Of what is larger than a manifest may
 * be, or has no end, only the beginning is read: enough to see that (PB1006).
 */
export function manifestTexts(names: readonly string[]): ManifestText[] {
  return names.flatMap((name): ManifestText[] => {
    if (name === "-") return [{ file: "stdin", text: readText(0, "stdin") }];
    try {
      if (!statSync(name).isDirectory()) return [{ file: name, text: readText(name, name) }];
      return readdirSync(name)
        .filter((file) => /\.(ya?ml|json|conf|conflist)$/.test(file))
        .sort()
        .map((file) => ({ file: join(name, file), text: readText(join(name, file), join(name, file)) }))
        .filter(({ file, text }) => !file.endsWith(".conf") || /^\uFEFF?\s*\{/.test(text));
    } catch (thrown) {
      throw unreadable(name, thrown);
    }
  });
}

/** Reads the texts as manifests. */
export function readAll(texts: readonly ManifestText[]): readonly Manifests[] {
  return texts.map(({ file, text }) => readManifests(text, file));
}

/** A file, or stdin (`-`), as long as it is. PB1000 where it cannot be read. */
export function wholeText(name: string): string {
  try {
    return readFileSync(name === "-" ? 0 : name, "utf8");
  } catch (thrown) {
    throw unreadable(name === "-" ? "stdin" : name, thrown);
  }
}

function readText(source: string | number, name: string): string {
  try {
    const descriptor = typeof source === "number" ? source : openSync(source, "r");
    try {
      return readBeginning(descriptor);
    } finally {
      if (descriptor !== source) closeSync(descriptor);
    }
  } catch (thrown) {
    throw unreadable(name, thrown);
  }
}

function readBeginning(descriptor: number): string {
  const pieces: Buffer[] = [];
  for (let length = 0; length <= MOST_BYTES; ) {
    const piece = Buffer.allocUnsafe(64 * 1024);
    const read = readSync(descriptor, piece);
    if (read === 0) break;
    pieces.push(piece.subarray(0, read));
    length += read;
  }
  return Buffer.concat(pieces).toString("utf8");
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of its path is no folder",
  EACCES: "this user may not read it",
  EISDIR: "it is a folder",
  EIO: "its disk fails to read it",
};

function unreadable(name: string, thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  return new Fault("PB1000", `${name} cannot be read: ${WHY[code] ?? String(thrown)}.`, {
    place: name,
    cure: "Name a file, a folder, or - for stdin.",
    cause: thrown,
  });
}

import { open } from "node:fs/promises";
import { broken } from "./oci.ts";
import { plain, TAR_END, tarFrame } from "./tar.ts";

/** A file to make an image of: its bytes are read from `source`. */
export interface ImageFile {
  /** In the image, at most 99 bytes. */
  readonly path: string;
  readonly source: string;
}

/** A layer of these files and the folders above them; the signal ends it, and its reason is thrown. */
export async function* layerOf(files: readonly ImageFile[], signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const sorted = [...files].sort((a, b) => (plain(a.path) < plain(b.path) ? -1 : 1));
  const folders = new Set<string>();
  for (const { path, source } of sorted) {
    const parts = plain(path).split("/");
    for (let depth = 1; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join("/");
      if (folders.has(folder)) continue;
      folders.add(folder);
      yield tarFrame({ kind: "directory", path: folder, mode: 0o755 }).header;
    }
    const file = await open(source);
    try {
      const { size } = await file.stat();
      const { header, padding } = tarFrame({ kind: "file", path: plain(path), mode: 0o444, size });
      let left = size;
      yield header;
      for await (const piece of file.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 })) {
        signal?.throwIfAborted();
        left -= piece.length;
        yield piece;
      }
      if (left !== 0) throw broken(`${source} was changed while it was read`, "Try again while nobody writes it.");
      yield padding;
    } finally {
      await file.close();
    }
  }
  yield TAR_END;
}

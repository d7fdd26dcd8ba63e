import { createHash, type Hash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { broken, type Descriptor } from "./oci.ts";
import type { ImageDigest } from "./reference.ts";
import type { ByteSource } from "./tar.ts";

/** The blobs of a layout: files named by the SHA-256 of what they hold. A blob is there whole or not at all. */
export interface Blobs {
  /** Stores bytes; where a digest or size is expected, other bytes fail with PB5002 and leave nothing. */
  put(source: ByteSource, expected?: { readonly digest: ImageDigest; readonly size: number }): Promise<StoredBlob>;
  /**
   * Bytes of a blob, as they are stored; the caller destroys the stream. Fails with PB5002 where they are not those of its
   * digest, which is looked at once for as long as the file stays as it is.
   */
  stream(descriptor: Pick<Descriptor, "digest" | "size">): Promise<Readable>;
  /** A small blob as text, its digest verified. */
  text(descriptor: Pick<Descriptor, "digest" | "size">): Promise<string>;
  /** Removes every blob but these. */
  keepOnly(digests: ReadonlySet<ImageDigest>): Promise<void>;
}

/** What was stored. */
export interface StoredBlob {
  readonly digest: ImageDigest;
  readonly size: number;
}

const PIECE = 1024 * 1024;
/** Manifests and configurations are a few kilobytes. */
const MOST_TEXT = 8 * 1024 * 1024;

/** The blobs below `layout/blobs/sha256`, with `scratch` for those that are not whole yet. */
export function openBlobs(layout: string, scratch: string): Blobs {
  const folder = join(layout, "blobs", "sha256");
  const path = (digest: ImageDigest): string => join(folder, digest.slice("sha256:".length));
  /** Files whose bytes were those of their digest, by inode and last change. */
  const verified = new Map<ImageDigest, string>();

  return {
    async put(source, expected) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const partial = join(scratch, randomUUID());
      try {
        const stored = await writeHashed(source, partial);
        if (expected !== undefined && (stored.digest !== expected.digest || stored.size !== expected.size)) {
          throw broken(
            `the blob ${expected.digest} of ${expected.size} bytes has instead ${stored.size} bytes with the digest ${stored.digest}`,
          );
        }
        await rename(partial, path(stored.digest));
        return stored;
      } catch (thrown) {
        if (isNoSpace(thrown)) throw noRoom(folder, thrown);
        throw thrown;
      } finally {
        await rm(partial, { force: true });
      }
    },

    async stream({ digest, size }) {
      const found = await stat(path(digest)).catch(() => undefined);
      if (found?.size !== size) {
        throw broken(`its blob ${digest} is ${found === undefined ? "missing" : "cut short"} in the store`);
      }
      const state = `${found.ino} ${found.ctimeMs}`;
      if (verified.get(digest) !== state) {
        const hash = createHash("sha256");
        for await (const chunk of createReadStream(path(digest), { highWaterMark: PIECE })) hash.update(chunk);
        if (finish(hash) !== digest) throw broken(`its blob ${digest} was changed in the store`);
        verified.set(digest, state);
      }
      return createReadStream(path(digest), { highWaterMark: PIECE });
    },

    async text(descriptor) {
      if (descriptor.size > MOST_TEXT) throw broken(`its blob ${descriptor.digest} is too large for a manifest`);
      const data = await readFile(path(descriptor.digest)).catch((cause: unknown) => {
        throw broken(`its blob ${descriptor.digest} is missing in the store`, undefined, cause);
      });
      if (finish(createHash("sha256").update(data)) !== descriptor.digest) {
        throw broken(`its blob ${descriptor.digest} was changed in the store`);
      }
      return data.toString();
    },

    async keepOnly(digests) {
      const present = await readdir(folder).catch(() => []);
      const unused = present.filter((name) => !digests.has(`sha256:${name}`));
      await Promise.all(unused.map((name) => rm(join(folder, name), { force: true })));
    },
  };
}

async function writeHashed(source: ByteSource, path: string): Promise<StoredBlob> {
  const hash = createHash("sha256");
  let size = 0;
  const file = await open(path, "wx", 0o600);
  try {
    for await (const chunk of source) {
      hash.update(chunk);
      size += chunk.length;
      await file.writeFile(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { digest: finish(hash), size };
}

function finish(hash: Hash): ImageDigest {
  return `sha256:${hash.digest("hex")}`;
}

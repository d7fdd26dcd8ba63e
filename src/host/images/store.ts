import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../../model/fault.ts";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { makeFolder } from "../make-folder.ts";
import { importBlobs, once, putManifest } from "./archive.ts";
import { openBlobs } from "./blobs.ts";
import { exclusively, type WaitOptions } from "./exclusive.ts";
import { naming, noImage, noSuchName } from "./image-faults.ts";
import { type ImageFile, layerOf } from "./layer-of-files.ts";
import { formatTree, locate, parseTree, readFileOf, readTree, type Tree } from "./layers.ts";
import {
  broken,
  type Descriptor,
  formatIndex,
  type Manifest,
  mediaTypes,
  parseIndex,
  parseManifest,
  REF_NAME,
} from "./oci.ts";
import { type ImageDigest, type ImageReference, keptName, parseReference, taggedName } from "./reference.ts";
import { makeOnce, place, removeOld } from "./scratch-files.ts";
import { plain } from "./tar.ts";

/** An image of the store. */
export interface Image {
  /** Repository and tag, as short as Docker writes them. */
  readonly name: string;
  /** Of its manifest. */
  readonly digest: ImageDigest;
  /** Bytes of its blobs. */
  readonly size: number;
}

/**
 * The machine's images, as an OCI layout that other tools can read too.
 *
 * Processes share it: changes take turns, and readers see an image whole or not at all. Names are read as users write
 * them (PB5003).
 */
export interface ImageStore {
  /** A folder for what is on its way into the store; what lies there for a day is removed. */
  readonly scratch: string;
  list(): Promise<readonly Image[]>;
  resolve(name: string): Promise<Image | undefined>;
  /** Gives an image another name, which is taken from the image that has it. Fails with PB5001. */
  tag(name: string, other: string): Promise<Image>;
  /** Removes a name, and with an image's last name its blobs and extracted files; gives what had it. Fails with PB5001. */
  remove(name: string): Promise<Image>;
  /**
   * Takes an image from an OCI layout, an OCI archive or a Docker archive. A name with a digest is kept as it is: the
   * digest may be the image's, or that of the multi-platform image it is taken from. Fails with PB5002.
   */
  importArchive(name: string, path: string, signal?: AbortSignal): Promise<Image>;
  /** Makes an image of files, in one layer. The same files give the same digest. */
  create(name: string, files: readonly ImageFile[], signal?: AbortSignal): Promise<Image>;
  /** A file of an image as a read-only file of this machine, made once for each digest. Fails with PB5001, PB5004. */
  extract(name: string, path: string): Promise<string>;
  /** The names of the regular files that lie in a folder of an image, sorted. Fails with PB5001. */
  files(name: string, folder: string): Promise<readonly string[]>;
}

function unusable(folder: string, cause: unknown): Fault {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Fault("PB6001", `The folder of images ${folder} cannot be used: ${why}.`, {
    place: folder,
    cure: "Run the command with sudo where it is another user's, or name another one: --data-dir.",
    cause,
  });
}

/**
 * Opens the store in `folder`, and makes it where there is none: PB6001 where that cannot be.
 *
 * The folder and `folder/files` can be passed through by everyone, for QEMU runs as another user; the rest is its owner's.
 * `onWait` is told when a change has to wait for another process.
 */
export async function openImageStore(
  folder: string,
  { onWait }: Pick<WaitOptions, "onWait"> = {},
): Promise<ImageStore> {
  const scratch = join(folder, "tmp");
  const extracted = join(folder, "files");
  const indexFile = join(folder, "index.json");
  try {
    makeFolder(folder);
    for (const [path, mode] of [
      [folder, 0o711],
      [extracted, 0o711],
      [scratch, 0o700],
    ] as const) {
      await mkdir(path, { recursive: true });
      await chmod(path, mode);
    }
  } catch (thrown) {
    throw isNoSpace(thrown) ? noRoom(folder, thrown) : unusable(folder, thrown);
  }
  await makeOnce(join(folder, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }), scratch);
  await makeOnce(indexFile, formatIndex([]), scratch);
  const blobs = openBlobs(folder, scratch);

  const readIndex = async (): Promise<Descriptor[]> => parseIndex(await readFile(indexFile, "utf8"), indexFile);
  const writeIndex = (entries: readonly Descriptor[]): Promise<void> =>
    place(indexFile, scratch, 0o600, (file) => file.writeFile(formatIndex(entries)));
  const changing = <T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
    exclusively(
      join(folder, "lock"),
      async () => {
        try {
          return await work();
        } catch (thrown) {
          if (isNoSpace(thrown)) throw noRoom(folder, thrown);
          throw thrown;
        }
      },
      { onWait, signal },
    );

  const manifestOf = async (digest: ImageDigest, size: number): Promise<Manifest> =>
    parseManifest(await blobs.text({ digest, size }), `its manifest ${digest}`);
  const imageOf = async (entry: Descriptor): Promise<Image> => {
    const manifest = await manifestOf(entry.digest, entry.size);
    const parts = [entry, manifest.config, ...manifest.layers];
    return {
      name: entry.annotations[REF_NAME] ?? entry.digest,
      digest: entry.digest,
      size: parts.reduce((sum, part) => sum + part.size, 0),
    };
  };
  const entryOf = async (name: string): Promise<Descriptor | undefined> =>
    find(await readIndex(), parseReference(name));
  const existing = async (name: string): Promise<Descriptor> => {
    const entry = await entryOf(name);
    if (entry === undefined) throw noImage(name);
    return entry;
  };
  /** One that is to be changed: whoever names it thought that it is there. */
  const chosen = async (name: string): Promise<Descriptor> => {
    const entry = await entryOf(name);
    if (entry !== undefined) return entry;
    throw noSuchName(
      name,
      (await readIndex()).flatMap(({ annotations }) => annotations[REF_NAME] ?? []),
    );
  };

  /** Puts a name on a manifest whose blobs are all there: the moment in which an image appears. */
  const publish = async (reference: ImageReference, manifest: Descriptor): Promise<Image> => {
    const name = keptName(reference);
    const entry = { ...manifest, annotations: { [REF_NAME]: name } };
    const others = (await readIndex()).filter((other) => other.annotations[REF_NAME] !== name);
    await writeIndex([...others, entry]);
    await sweep();
    return imageOf(entry);
  };
  /** Stores blobs and puts a name on them; where that fails, the blobs go again. */
  const adding = async (work: () => Promise<Image>): Promise<Image> => {
    try {
      return await work();
    } catch (thrown) {
      await sweep().catch(() => undefined);
      throw thrown;
    }
  };
  /** Removes what no entry of the index leads to. */
  const sweep = async (): Promise<void> => {
    const entries = await readIndex();
    const used = new Set<ImageDigest>();
    let unreadable = false;
    for (const entry of entries) {
      const manifest = await manifestOf(entry.digest, entry.size).catch(() => undefined);
      unreadable ||= manifest === undefined;
      for (const part of manifest === undefined ? [] : [manifest.config, ...manifest.layers]) used.add(part.digest);
      used.add(entry.digest);
    }
    // Nobody knows which blobs an image has whose manifest cannot be read.
    if (!unreadable) await blobs.keepOnly(used);
    await removeOld(scratch, () => true);
    // Guests may still start from what was extracted of an image whose name was given away.
    await removeOld(extracted, (name) => !used.has(`sha256:${name}`));
  };

  const filesOf = (digest: ImageDigest): string => join(extracted, digest.slice("sha256:".length));
  const treeOf = async (entry: Descriptor, manifest: Manifest): Promise<Tree> => {
    const kept = join(filesOf(entry.digest), "tree.json");
    const text = await readFile(kept, "utf8").catch(() => undefined);
    if (text !== undefined) return parseTree(text);
    const tree = await readTree(blobs, manifest);
    await mkdir(filesOf(entry.digest), { recursive: true });
    await chmod(filesOf(entry.digest), 0o755);
    await place(kept, scratch, 0o600, (file) => file.writeFile(formatTree(tree)));
    return tree;
  };

  return {
    scratch,

    async list() {
      const entries = await readIndex();
      const images = await Promise.all(
        entries.map((entry) => naming(entry.annotations[REF_NAME] ?? entry.digest, () => imageOf(entry))),
      );
      return images.sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    resolve: (name) =>
      naming(name, async () => {
        const entry = await entryOf(name);
        return entry === undefined ? undefined : imageOf(entry);
      }),

    tag: (name, other) =>
      changing(async () => publish(parseTagged(other), { ...(await chosen(name)), annotations: {} })),

    remove: (name) =>
      changing(async () => {
        const gone = await chosen(name);
        // One that is broken can be removed all the same.
        const { digest, size, annotations } = gone;
        const image = await imageOf(gone).catch((): Image => ({ name: annotations[REF_NAME] ?? digest, digest, size }));
        const rest = (await readIndex()).filter(
          (entry) => entry.digest !== gone.digest || entry.annotations[REF_NAME] !== gone.annotations[REF_NAME],
        );
        // What was extracted can be made again, so it goes first: on a full disk the index needs its room.
        if (rest.every((entry) => entry.digest !== gone.digest)) {
          await rm(filesOf(gone.digest), { recursive: true, force: true });
        }
        await writeIndex(rest);
        await sweep();
        return image;
      }),

    importArchive: async (name, path, signal) => {
      const reference = parseReference(name);
      const add = async (): Promise<Image> => {
        const { manifest, index } = await importBlobs({ blobs, scratch, signal }, path, reference);
        if (reference.digest !== undefined && ![manifest.digest, index].includes(reference.digest)) {
          throw broken(`${path} holds the image ${manifest.digest}, not ${reference.digest}`);
        }
        return publish(reference, manifest);
      };
      return changing(() => adding(add), signal);
    },

    create: async (name, files, signal) => {
      const reference = parseTagged(name);
      const add = async (): Promise<Image> => {
        const layer = { mediaType: mediaTypes.layer, annotations: {}, ...(await blobs.put(layerOf(files, signal))) };
        const config = Buffer.from(
          JSON.stringify({
            architecture: "amd64",
            os: "linux",
            config: {},
            rootfs: { type: "layers", diff_ids: [layer.digest] },
          }),
        );
        const stored = { mediaType: mediaTypes.config, annotations: {}, ...(await blobs.put(once(config))) };
        return publish(reference, await putManifest(blobs, { config: stored, layers: [layer] }));
      };
      return changing(() => adding(add), signal);
    },

    extract: (name, path) =>
      naming(name, async () => {
        const entry = await existing(name);
        const target = join(filesOf(entry.digest), fileNameOf(plain(path)));
        if ((await lstat(target).catch(() => undefined))?.isFile() === true) return target;
        const manifest = await manifestOf(entry.digest, entry.size);
        const file = locate(await treeOf(entry, manifest), name, path);
        try {
          await place(target, scratch, 0o444, async (handle) => {
            let size = 0;
            await readFileOf(blobs, manifest, file, async (data) => {
              size += data.length;
              await handle.writeFile(data);
            });
            if (size !== file.size) throw broken(`its file /${plain(path)} has ${size} bytes instead of ${file.size}`);
          });
          return target;
        } catch (thrown) {
          if (isNoSpace(thrown)) throw noRoom(extracted, thrown);
          throw thrown;
        }
      }),

    files: (name, folder) =>
      naming(name, async () => {
        const entry = await existing(name);
        const tree = await treeOf(entry, await manifestOf(entry.digest, entry.size));
        const prefix = `${plain(folder)}/`;
        return [...tree]
          .filter(
            ([path, node]) =>
              node.kind === "file" && path.startsWith(prefix) && !path.slice(prefix.length).includes("/"),
          )
          .map(([path]) => path.slice(prefix.length))
          .sort();
      }),
  };
}

/** A name that can be given to an image: one without a digest. */
function parseTagged(name: string): ImageReference {
  const reference = parseReference(name);
  if (reference.digest === undefined) return reference;
  throw new Fault("PB5003", `"${name}" has a digest, and an image's digest cannot be chosen.`, {
    cure: `Use the name ${taggedName(reference)}.`,
  });
}

function find(entries: readonly Descriptor[], reference: ImageReference): Descriptor | undefined {
  const named = entries.find((entry) => entry.annotations[REF_NAME] === keptName(reference));
  if (named !== undefined || reference.digest === undefined) return named;
  return entries.find((entry) => entry.digest === reference.digest);
}

/** A file name for a path of any length and spelling; its end is for those who look. */
function fileNameOf(path: string): string {
  const hash = createHash("sha256").update(path).digest("hex").slice(0, 16);
  return `${hash}-${path
    .replace(/^.*\//, "")
    .replace(/[^A-Za-z0-9._-]/g, "_")
    .slice(-64)}`;
}

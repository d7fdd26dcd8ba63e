import { createReadStream } from "node:fs";
import { lstat, mkdtemp, open, readFile, realpath, rm, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { Fault, isFault } from "../../model/fault.ts";
import type { Blobs } from "./blobs.ts";
import {
  broken,
  type Descriptor,
  isIndexType,
  json,
  layerPacking,
  type Manifest,
  mediaTypes,
  member,
  parseIndex,
  parseManifest,
  REF_NAME,
} from "./oci.ts";
import { digestOf, type ImageDigest, type ImageReference, isDigest, parseReference, taggedName } from "./reference.ts";
import { runProgram } from "./run-program.ts";

/** What was copied out of an archive. */
export interface Imported {
  readonly manifest: Descriptor;
  /** The multi-platform image that the manifest was taken from, where it was. */
  readonly index?: ImageDigest;
}

/** Where images come from and go to. */
interface Import {
  readonly blobs: Blobs;
  /** A folder of the store for what is unpacked. */
  readonly scratch: string;
  /** Ends it; its reason is thrown. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Copies one image's blobs out of an OCI layout (folder or tar) or a `docker save` tar, every digest verified.
 *
 * Where it holds several images, the one of this name is taken; of a multi-platform image, linux/amd64. Nothing names the
 * blobs afterwards: that is the caller's. Fails with PB5002.
 */
export async function importBlobs(to: Import, archive: string, wanted: ImageReference): Promise<Imported> {
  const found = await stat(archive).catch((cause: unknown) => {
    throw new Fault("PB5002", `There is no archive ${archive}.`, { cure: "Correct the path.", place: archive, cause });
  });
  if (found.isDirectory()) return importFolder(to, archive, archive, wanted);
  const folder = await mkdtemp(join(to.scratch, "archive-"));
  try {
    const { signal } = to;
    const unpack = ["--extract", "--no-same-owner", "--file", archive, "--directory", folder];
    await runProgram("tar", unpack, signal === undefined ? {} : { signal }).catch((thrown: unknown) => {
      signal?.throwIfAborted();
      throw unreadable(archive, thrown);
    });
    return await importFolder(to, folder, archive, wanted);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function unreadable(archive: string, thrown: unknown): unknown {
  if (!isFault(thrown, "PB5005") || thrown.data["program"] !== "tar" || thrown.message.includes("is not on"))
    return thrown;
  return new Fault("PB5002", `${archive} is not a tar archive that can be read: ${thrown.message}`, {
    cure: "Give an OCI layout, an OCI archive, what `docker save` writes, or a qcow2 disk (`qemu-img convert -O qcow2` makes one of other disks).",
    place: archive,
    cause: thrown,
  });
}

/** A file of an archive, until the import is called off. */
async function* fileBytes(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    signal?.throwIfAborted();
    yield chunk;
  }
}

async function importFolder(to: Import, folder: string, archive: string, wanted: ImageReference): Promise<Imported> {
  if (await isThere(join(folder, "oci-layout"))) return importLayout(to, folder, archive, wanted);
  if (await isThere(join(folder, "manifest.json"))) return importDocker(to, folder, archive, wanted);
  throw new Fault("PB5002", `${archive} is neither an OCI layout nor a Docker archive.`, {
    cure: "Write one with `skopeo copy docker://NAME oci-archive:FILE` or `docker save NAME -o FILE`.",
    place: archive,
  });
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() === true;
}

async function importLayout(
  { blobs, signal }: Import,
  folder: string,
  archive: string,
  wanted: ImageReference,
): Promise<Imported> {
  const path = (descriptor: Descriptor): Promise<string> =>
    inside(folder, join("blobs", "sha256", descriptor.digest.slice("sha256:".length)));
  const entries = parseIndex(await readFile(await inside(folder, "index.json"), "utf8"), "its index.json");
  let chosen = choose(
    entries.filter((entry) => wanted.digest === undefined || entry.digest === wanted.digest || entries.length === 1),
    (entry) => entry.annotations[REF_NAME],
    archive,
    wanted,
  );
  const index = isIndexType(chosen.mediaType) ? chosen.digest : undefined;
  if (index !== undefined) {
    const text = await readFile(await path(chosen));
    if (digestOf(text) !== index) throw broken(`its index ${index} has the digest ${digestOf(text)}`);
    const platforms = parseIndex(text.toString(), `its index ${index}`);
    const fit = platforms.find(({ platform }) => platform?.os === "linux" && platform.architecture === "amd64");
    if (fit === undefined) throw broken(`${archive} has nothing for linux/amd64`, "Use an image for linux/amd64.");
    chosen = fit;
  }
  const copy = async (descriptor: Descriptor): Promise<void> => {
    await blobs.put(fileBytes(await path(descriptor), signal), descriptor);
  };
  await copy(chosen);
  const manifest = parseManifest(await blobs.text(chosen), `its manifest ${chosen.digest}`);
  for (const layer of manifest.layers) layerPacking(layer);
  for (const descriptor of [manifest.config, ...manifest.layers]) await copy(descriptor);
  const { mediaType, digest, size } = chosen;
  return { manifest: { mediaType, digest, size, annotations: {} }, ...(index === undefined ? {} : { index }) };
}

/** An element of manifest.json under one of its names. */
interface DockerImage {
  readonly config: unknown;
  readonly layers: unknown;
  readonly tag: string | undefined;
}

/** `docker save` without an OCI layout: a list of configurations and layer files, named and not described. */
async function importDocker(
  { blobs, signal }: Import,
  folder: string,
  archive: string,
  wanted: ImageReference,
): Promise<Imported> {
  const list = json(await readFile(await inside(folder, "manifest.json"), "utf8"), "its manifest.json");
  const images = (Array.isArray(list) ? list : []).flatMap((entry: unknown): DockerImage[] => {
    const tags = member(entry, "RepoTags");
    const image = { config: member(entry, "Config"), layers: member(entry, "Layers") };
    if (!Array.isArray(tags) || tags.length === 0) return [{ ...image, tag: undefined }];
    return tags.map((tag) => ({ ...image, tag: String(tag) }));
  });
  const chosen = choose(images, (image) => image.tag, archive, wanted);
  if (typeof chosen.config !== "string" || !Array.isArray(chosen.layers)) throw broken("its manifest.json is broken");
  const config = {
    mediaType: mediaTypes.config,
    annotations: {},
    ...(await blobs.put(fileBytes(await inside(folder, chosen.config), signal))),
  };
  await verifyConfigName(chosen.config, config.digest);
  const layers: Descriptor[] = [];
  for (const layer of chosen.layers) {
    const file = await inside(folder, String(layer));
    const mediaType = (await isGzip(file)) ? mediaTypes.layerGzip : mediaTypes.layer;
    layers.push({ mediaType, annotations: {}, ...(await blobs.put(fileBytes(file, signal))) });
  }
  return { manifest: await putManifest(blobs, { config, layers }) };
}

/** Docker names a configuration by its digest: the one digest that such an archive states. */
async function verifyConfigName(name: string, digest: string): Promise<void> {
  const stated = /([0-9a-f]{64})(?:\.json)?$/.exec(name)?.[1];
  if (stated !== undefined && isDigest(`sha256:${stated}`) && `sha256:${stated}` !== digest) {
    throw broken(`its configuration ${name} has the digest ${digest}`);
  }
}

/** Stores a manifest of blobs that are stored already. */
export async function putManifest(blobs: Blobs, manifest: Manifest): Promise<Descriptor> {
  const bare = ({ mediaType, digest, size }: Descriptor): object => ({ mediaType, digest, size });
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: bare(manifest.config),
    layers: manifest.layers.map(bare),
  });
  const data = Buffer.from(text);
  const stored = await blobs.put(once(data), { digest: digestOf(data), size: data.length });
  return { mediaType: mediaTypes.manifest, annotations: {}, ...stored };
}

/** One piece of bytes as a source. */
export async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}

/** The only image, or the one whose name in the archive is the wanted one. */
function choose<T>(
  images: readonly T[],
  nameOf: (image: T) => string | undefined,
  archive: string,
  wanted: ImageReference,
): T {
  const [first, ...more] = images;
  if (first === undefined)
    throw broken(`${archive} holds no image${wanted.digest === undefined ? "" : ` with the digest ${wanted.digest}`}`);
  if (more.length === 0) return first;
  const fit = images.find((image) => isNamed(nameOf(image), wanted));
  if (fit !== undefined) return fit;
  const names = images.map((image) => nameOf(image) ?? "one without a name");
  throw new Fault(
    "PB5002",
    `${archive} holds ${images.length} images, none of them ${taggedName(wanted)}: ${names.join(", ")}.`,
    {
      cure: "Import it by the name that it has in the archive, then `patchbay image tag` it.",
      place: archive,
    },
  );
}

function isNamed(name: string | undefined, wanted: ImageReference): boolean {
  if (name === undefined) return false;
  if (name === wanted.tag) return true;
  try {
    return taggedName(parseReference(name)) === taggedName(wanted);
  } catch (thrown) {
    if (isFault(thrown, "PB5003")) return false;
    throw thrown;
  }
}

/** A path in the archive as a path on this machine. An archive's links may not lead out of it. */
async function inside(folder: string, path: string): Promise<string> {
  const root = await realpath(folder);
  const real = await realpath(join(root, path)).catch((cause: unknown) => {
    throw broken(`the archive lacks ${path}`, undefined, cause);
  });
  if (!real.startsWith(`${root}${sep}`) || !(await stat(real)).isFile())
    throw broken(`${path} leads out of the archive`);
  return real;
}

async function isGzip(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return bytesRead === 2 && buffer.readUInt16BE(0) === 0x1f8b;
  } finally {
    await file.close();
  }
}

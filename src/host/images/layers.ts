import { pipeline, type Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { Fault } from "../../model/fault.ts";
import type { Blobs } from "./blobs.ts";
import { broken, type Descriptor, json, layerPacking, type Manifest, member } from "./oci.ts";
import { type ByteSource, plain, readTar, TarError, type TarMember } from "./tar.ts";

/** A file, folder or link of an image with all layers laid over each other. */
export type TreeNode =
  | { readonly kind: "file"; readonly layer: number; readonly member: string; readonly size: number }
  | { readonly kind: "directory" }
  | { readonly kind: "symlink"; readonly target: string };

/** By path without a leading slash. */
export type Tree = ReadonlyMap<string, TreeNode>;

const MOST_LINKS = 20;

/** Lays an image's layers over each other, whiteouts applied (OCI image specification, layer.md). Fails with PB5002. */
export async function readTree(blobs: Blobs, manifest: Manifest): Promise<Tree> {
  const tree = new Map<string, TreeNode>();
  for (const [layer, descriptor] of manifest.layers.entries()) {
    const members: TarMember[] = [];
    await readLayer(blobs, descriptor, (found) => {
      members.push(found);
      return undefined;
    });
    // What a layer hides is of the layers below it, wherever the whiteout stands among its members.
    for (const { path } of members) applyWhiteout(tree, path);
    for (const found of members) add(tree, found, layer);
  }
  return tree;
}

/** A tree as it is kept beside extracted files, and read back. */
export function formatTree(tree: Tree): string {
  return JSON.stringify([...tree]);
}

/** Reads what {@link formatTree} wrote. Fails with PB5002. */
export function parseTree(text: string): Tree {
  const entries = json(text, "the list of its files");
  if (!Array.isArray(entries)) throw broken("the list of its files is broken");
  return new Map(entries.map((entry) => parseEntry(entry)));
}

/** The file that a path leads to, through links. Fails with PB5004. */
export function locate(tree: Tree, image: string, path: string): Extract<TreeNode, { kind: "file" }> {
  let rest = plain(path).split("/");
  let at: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const [next = "", ...after] = rest;
    rest = after;
    if (next === "..") {
      at = at.slice(0, -1);
      continue;
    }
    const here = [...at, next];
    const node = tree.get(here.join("/"));
    if (node?.kind !== "symlink") {
      at = here;
      continue;
    }
    links += 1;
    if (links > MOST_LINKS) throw noFile(image, path, tree);
    rest = [...plain(node.target).split("/"), ...rest];
    if (node.target.startsWith("/")) at = [];
  }
  const node = tree.get(at.join("/"));
  if (node?.kind !== "file") throw noFile(image, path, tree);
  return node;
}

/** Hands the bytes of one file to `sink`. Fails with PB5002. */
export async function readFileOf(
  blobs: Blobs,
  manifest: Manifest,
  file: Extract<TreeNode, { kind: "file" }>,
  sink: (data: Uint8Array) => Promise<void>,
): Promise<void> {
  const layer = manifest.layers[file.layer];
  if (layer === undefined) throw broken("the list of its files does not match its layers");
  let found = false;
  await readLayer(blobs, layer, (candidate) => {
    if (candidate.kind !== "file" || candidate.path !== file.member) return undefined;
    found = true;
    return sink;
  });
  if (!found) throw broken(`its layer ${layer.digest} lacks /${file.member}`);
}

async function readLayer(
  blobs: Blobs,
  layer: Descriptor,
  wanted: (found: TarMember) => ((data: Uint8Array) => Promise<void>) | undefined,
): Promise<void> {
  const packing = layerPacking(layer);
  const packed = await blobs.stream(layer);
  try {
    await readTar(packing === "none" ? packed : unpacked(packed, packing), wanted);
  } catch (thrown) {
    if (thrown instanceof TarError) throw broken(`its layer ${layer.digest}: ${thrown.message}`, undefined, thrown);
    if (isZlibError(thrown)) throw broken(`its layer ${layer.digest} cannot be unpacked`, undefined, thrown);
    throw thrown;
  } finally {
    packed.destroy();
  }
}

function unpacked(packed: Readable, packing: "gzip" | "zstd"): ByteSource {
  const options = { chunkSize: 256 * 1024 };
  const opened = packing === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  // A failure reaches the reader through the stream itself.
  pipeline(packed, opened, () => {});
  return opened;
}

function isZlibError(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && /^Z(STD)?_/.test(String(thrown.code));
}

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

function split(path: string): { readonly folder: string; readonly name: string } {
  const slash = path.lastIndexOf("/");
  return { folder: path.slice(0, Math.max(slash, 0)), name: path.slice(slash + 1) };
}

function applyWhiteout(tree: Map<string, TreeNode>, path: string): void {
  const { folder, name } = split(path);
  if (!name.startsWith(WHITEOUT)) return;
  const hidden =
    name === OPAQUE ? folder : [folder, name.slice(WHITEOUT.length)].filter((part) => part !== "").join("/");
  if (name !== OPAQUE) tree.delete(hidden);
  removeBelow(tree, hidden);
}

function removeBelow(tree: Map<string, TreeNode>, folder: string): void {
  for (const path of tree.keys()) if (folder === "" || path.startsWith(`${folder}/`)) tree.delete(path);
}

function add(tree: Map<string, TreeNode>, found: TarMember, layer: number): void {
  const { path } = found;
  if (path === "" || split(path).name.startsWith(WHITEOUT)) return;
  const node = nodeOf(tree, found, layer);
  if (node === undefined) return;
  if (node.kind !== "directory" && tree.get(path)?.kind === "directory") removeBelow(tree, path);
  tree.set(path, node);
}

function nodeOf(tree: Tree, found: TarMember, layer: number): TreeNode | undefined {
  switch (found.kind) {
    case "file":
      return { kind: "file", layer, member: found.path, size: found.size };
    case "directory":
      return { kind: "directory" };
    case "symlink":
      return { kind: "symlink", target: found.target };
    case "hardlink":
      return tree.get(plain(found.target));
    case "other":
      return undefined;
  }
}

function noFile(image: string, path: string, tree: Tree): Fault {
  const folder = split(plain(path)).folder;
  const near = [...tree.keys()].filter((other) => split(other).folder === folder).slice(0, 10);
  const there = near.length === 0 ? "" : ` /${folder} holds: ${near.map((other) => split(other).name).join(", ")}.`;
  return new Fault("PB5004", `The image ${image} has no file /${plain(path)}.${there}`, {
    cure: "Correct the path in the manifest, or use another image.",
    place: path,
    data: { image, path },
  });
}

function parseEntry(entry: unknown): [string, TreeNode] {
  const [path, node]: unknown[] = Array.isArray(entry) ? entry : [];
  const kind = member(node, "kind");
  if (typeof path === "string" && kind === "directory") return [path, { kind }];
  const target = member(node, "target");
  if (typeof path === "string" && kind === "symlink" && typeof target === "string") return [path, { kind, target }];
  const [layer, name, size] = [member(node, "layer"), member(node, "member"), member(node, "size")];
  if (
    typeof path === "string" &&
    kind === "file" &&
    typeof layer === "number" &&
    typeof name === "string" &&
    typeof size === "number"
  ) {
    return [path, { kind, layer, member: name, size }];
  }
  throw broken("the list of its files is broken");
}

import { Fault } from "../../model/fault.ts";
import { type ImageDigest, isDigest } from "./reference.ts";

/** A reference to a blob (OCI image specification, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: ImageDigest;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

/** An image manifest (manifest.md). */
export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Media types that are written, and those that are understood. */
export const mediaTypes = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
} as const;

/** The annotation of a descriptor in index.json that holds the image's name (annotations.md). */
export const REF_NAME = "org.opencontainers.image.ref.name";

/** True for an index or Docker's manifest list. */
export function isIndexType(mediaType: string): boolean {
  return mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex;
}

/** How a layer is packed, by its media type. Fails with PB5002 where it is packed otherwise. */
export function layerPacking(layer: Descriptor): "none" | "gzip" | "zstd" {
  if (/\.tar\.gzip$|\.tar\+gzip$/.test(layer.mediaType)) return "gzip";
  if (/\.tar\.zstd$|\.tar\+zstd$/.test(layer.mediaType)) return "zstd";
  if (/\.tar$/.test(layer.mediaType)) return "none";
  throw broken(
    `its layer ${layer.digest} has the media type "${layer.mediaType}"`,
    "Layers may be tar, tar+gzip or tar+zstd.",
  );
}

/** Reads an index: `index.json` of a layout, or a multi-platform image. Fails with PB5002. */
export function parseIndex(text: string, about: string): Descriptor[] {
  const manifests = member(json(text, about), "manifests");
  if (!Array.isArray(manifests)) throw broken(`${about} has no list of manifests`);
  return manifests.map((entry) => parseDescriptor(entry, about));
}

/** Reads a manifest. Fails with PB5002. */
export function parseManifest(text: string, about: string): Manifest {
  const document = json(text, about);
  const layers = member(document, "layers");
  if (!Array.isArray(layers)) throw broken(`${about} has no list of layers`);
  return {
    config: parseDescriptor(member(document, "config"), about),
    layers: layers.map((layer) => parseDescriptor(layer, about)),
  };
}

/** An index as it is written. */
export function formatIndex(manifests: readonly Descriptor[]): string {
  return `${JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }, undefined, 2)}\n`;
}

/** JSON of a foreign file. Fails with PB5002. */
export function json(text: string, about: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw broken(`${about} is not valid JSON`, undefined, thrown);
  }
}

/** A member of a JSON object; undefined where there is no such object or member. */
export function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

/** The fault of an image or archive that is not as the specification has it. */
export function broken(what: string, cure?: string, cause?: unknown): Fault {
  return new Fault("PB5002", `The image cannot be read: ${what}.`, {
    cure:
      cure ??
      "Fetch it again: `patchbay image pull NAME`, or `skopeo copy docker://NAME oci-archive:FILE` and `patchbay image import NAME FILE`.",
    cause,
  });
}

function parseDescriptor(value: unknown, about: string): Descriptor {
  const digest = member(value, "digest");
  const size = member(value, "size");
  const mediaType = member(value, "mediaType");
  if (typeof digest !== "string" || !isDigest(digest))
    throw broken(`${about} has a descriptor without a sha256 digest`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw broken(`${about} has a descriptor without a size`);
  }
  const annotations = member(value, "annotations");
  const os = member(member(value, "platform"), "os");
  const architecture = member(member(value, "platform"), "architecture");
  return {
    mediaType: typeof mediaType === "string" ? mediaType : mediaTypes.manifest,
    digest,
    size,
    annotations: Object.fromEntries(
      Object.entries(typeof annotations === "object" && annotations !== null ? annotations : {}).filter(
        (entry): entry is [string, string] => typeof entry[1] === "string",
      ),
    ),
    ...(typeof os === "string" && typeof architecture === "string" ? { platform: { os, architecture } } : {}),
  };
}

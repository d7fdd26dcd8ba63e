import { createHash } from "node:crypto";
import { Fault } from "../../model/fault.ts";

/** A digest as OCI writes it: `sha256:` and 64 hexadecimal digits. */
export type ImageDigest = `sha256:${string}`;

/** An image's name, taken apart. */
export interface ImageReference {
  /** Short where Docker's is: `patchbay/guest` for `docker.io/patchbay/guest`, `debian` for `docker.io/library/debian`. */
  readonly repository: string;
  /** Absent only where a digest is given. */
  readonly tag?: string;
  readonly digest?: ImageDigest;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const REGISTRY = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** True for text of the form `sha256:…`. */
export function isDigest(text: string): text is ImageDigest {
  return DIGEST.test(text);
}

/** The digest of bytes. */
export function digestOf(data: Uint8Array): ImageDigest {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/**
 * Reads a name as users write it: `patchbay/guest`, `quay.io/kubevirt/x:v1`, `localhost:5000/x@sha256:…`.
 *
 * A missing tag is `latest`. Fails with PB5003.
 */
export function parseReference(text: string): ImageReference {
  const [named = "", digest, ...more] = text.trim().split("@");
  if (more.length > 0 || (digest !== undefined && !isDigest(digest)))
    throw invalid(text, "its digest is not sha256:<64 hexadecimal digits>");
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const path = hasTag ? named.slice(0, colon) : named;
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `"${tag}" cannot be a tag`);
  const repository = shortRepository(path, text);
  if (digest !== undefined) return { repository, ...(tag === undefined ? {} : { tag }), digest };
  return { repository, tag: tag ?? "latest" };
}

/** Repository and tag. */
export function taggedName(reference: ImageReference): string {
  return `${reference.repository}:${reference.tag ?? "latest"}`;
}

/** The name that an image is kept under, and fetched by: its digest counts more than its tag, as for Docker. */
export function keptName(reference: ImageReference): string {
  return reference.digest === undefined ? taggedName(reference) : `${reference.repository}@${reference.digest}`;
}

/** The registry that an image comes from. */
export function registryOf({ repository }: ImageReference): string {
  const [first = "", ...rest] = repository.split("/");
  return rest.length > 0 && isRegistry(first) ? first : "docker.io";
}

/** The first part of a name with several: Docker's rule for telling a registry from a user. */
function isRegistry(part: string): boolean {
  return /[.:[]/.test(part) || part === "localhost";
}

function shortRepository(path: string, text: string): string {
  const parts = path.split("/");
  const [first = "", ...rest] = parts;
  const registry = rest.length > 0 && isRegistry(first) ? first : undefined;
  const components = registry === undefined ? parts : rest;
  if (registry !== undefined && !REGISTRY.test(registry)) throw invalid(text, `"${registry}" cannot be a registry`);
  const wrong = components.find((component) => !COMPONENT.test(component));
  if (wrong !== undefined) throw invalid(text, `"${wrong}" cannot be part of a name`);
  if (registry !== undefined && registry !== "docker.io" && registry !== "index.docker.io") return path;
  return (components[0] === "library" && components.length === 2 ? components.slice(1) : components).join("/");
}

function invalid(text: string, why: string): Fault {
  return new Fault("PB5003", `"${text}" is not the name of an image: ${why}.`, {
    cure: "Write it as [REGISTRY/]NAME[:TAG] or [REGISTRY/]NAME@sha256:DIGEST, in lower case.",
    data: { image: text },
  });
}

import { createHash } from "node:crypto";
import type { ResourceDefinition } from "../model/api/resource.ts";
import type { Catalog } from "./catalog.ts";
import { openApiV2Document } from "./openapi-v2.ts";
import { openApiV2Protobuf } from "./openapi-v2-protobuf.ts";
import { openApiV3Document, openApiV3Parts } from "./openapi-v3.ts";
import { noSuchResource, notAcceptable } from "./refusals.ts";
import type { DocumentRequest, ServedDocument } from "./served-document.ts";

const TITLE = "Patchbay";
const JSON_TYPE = "application/json";
/**
 * Kubernetes asks for the protobuf form under these. It goes out under a media type that kubectl 1.20 can read: the
 * parser of media types that it has chokes on the one that it asks for.
 */
const V2_PROTOBUF = [
  "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
  "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];
const OCTETS = "application/octet-stream";

const YEAR_SECONDS = 31_536_000;

interface Kept {
  readonly type: string;
  readonly content: string | Uint8Array;
  readonly hash: string;
}

/** The documents of each state of a catalog, made when they are asked for first. */
const kept = new WeakMap<readonly ResourceDefinition[], Map<string, Kept>>();

/**
 * Answers `/openapi/v2` (JSON and protobuf), the index `/openapi/v3` and the documents that it names (JSON).
 *
 * A document with the hash that the index names for it may be kept by clients for ever; one with an older hash is
 * answered with the way to the present one. A client that has the document of the ETag is told so.
 *
 * @throws ApiError 404 for other paths, 406 where the client takes none of the forms.
 */
export function serveOpenApi(catalog: Catalog, request: DocumentRequest, version: string): ServedDocument {
  const [, form, ...rest] = request.path;
  if (form === "v2" && rest.length === 0) return answered(v2(catalog, request, version), request);
  if (form !== "v3") throw noSuchResource();
  requireJson(request);
  if (rest.length === 0) return answered(v3Index(catalog, version), request);
  const part = rest.join("/");
  if (!openApiV3Parts(catalog).includes(part)) throw noSuchResource();
  const document = v3(catalog, part, version);
  if (request.hash === undefined || request.hash === "") return answered(document, request);
  if (request.hash !== document.hash) {
    const headers = { location: address(part, document) };
    return { code: 301, type: "text/plain; charset=utf-8", content: "", headers };
  }
  const forEver = { "cache-control": `public, immutable, max-age=${YEAR_SECONDS}` };
  return answered(document, request, forEver);
}

function answered(document: Kept, { ifNoneMatch }: DocumentRequest, more: Readonly<Record<string, string>> = {}) {
  const etag = `"${document.hash}"`;
  const headers = { etag, vary: "Accept", ...more };
  const known = ifNoneMatch?.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag) === true;
  return known ? { code: 304, type: document.type, content: "", headers } : { ...document, headers };
}

function v2(catalog: Catalog, { accept }: DocumentRequest, version: string): Kept {
  const text = () => JSON.stringify(openApiV2Document(catalog, TITLE, version));
  for (const { type } of accept) {
    if (V2_PROTOBUF.includes(type)) {
      return keep(catalog, "v2 protobuf", OCTETS, () => openApiV2Protobuf(openApiV2Document(catalog, TITLE, version)));
    }
    if (isJson(type)) return keep(catalog, "v2", JSON_TYPE, text);
  }
  throw notAcceptable();
}

function v3Index(catalog: Catalog, version: string): Kept {
  return keep(catalog, "v3", JSON_TYPE, () => {
    const paths = openApiV3Parts(catalog).map((part) => [
      part,
      { serverRelativeURL: address(part, v3(catalog, part, version)) },
    ]);
    return JSON.stringify({ paths: Object.fromEntries(paths) });
  });
}

function v3(catalog: Catalog, part: string, version: string): Kept {
  return keep(catalog, `v3/${part}`, JSON_TYPE, () => JSON.stringify(openApiV3Document(catalog, part, TITLE, version)));
}

function address(part: string, { hash }: Kept): string {
  return `/openapi/v3/${part}?hash=${hash}`;
}

function requireJson({ accept }: DocumentRequest): void {
  if (!accept.some(({ type }) => isJson(type))) throw notAcceptable();
}

function isJson(type: string): boolean {
  return type === JSON_TYPE || type === "*/*" || type === "application/*";
}

function keep(catalog: Catalog, name: string, type: string, make: () => string | Uint8Array): Kept {
  const documents = kept.get(catalog.definitions) ?? new Map<string, Kept>();
  kept.set(catalog.definitions, documents);
  const there = documents.get(name);
  if (there !== undefined) return there;
  const content = make();
  const document = {
    type,
    content,
    hash: createHash("sha256").update(content).digest("hex").slice(0, 32).toUpperCase(),
  };
  documents.set(name, document);
  return document;
}

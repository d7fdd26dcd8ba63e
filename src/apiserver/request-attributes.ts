import type { IncomingMessage } from "node:http";
import { badRequest } from "./refusals.ts";

/** What a request asks for, read from its method and target alone: for authorization, the audit log and metrics. */
export interface RequestAttributes {
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; of a document the method. */
  readonly verb: string;
  /** Empty: core Kubernetes. */
  readonly group: string;
  /** The plural; absent for documents: discovery, versions, health, metrics. */
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly path: string;
  readonly dryRun: boolean;
  /** A text is to be sent on as it grows. */
  readonly follows?: boolean;
}

const METHOD_VERBS: Readonly<Record<string, string>> = {
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};
/** Of the object `namespaces/NAME`; anything else behind the name is a resource in the namespace. */
const NAMESPACE_PARTS: readonly string[] = ["status", "finalize"];

/**
 * Reads a request's target by Kubernetes' conventions, whether or not there is such a resource.
 *
 * @throws ApiError 400 for a target that could be read in more than one way, or leads out of where it begins.
 */
export function readAttributes({ method = "GET", url = "/" }: IncomingMessage): RequestAttributes {
  const cut = url.indexOf("?");
  const path = cut < 0 ? url : url.slice(0, cut);
  const query = cut < 0 ? undefined : new URLSearchParams(url.slice(cut + 1));
  const segments = segmentsOf(path);
  const reading = method === "GET" || method === "HEAD";
  const dryRun = query?.get("dryRun") === "All";
  const prefix = segments[0] === "api" ? 2 : segments[0] === "apis" ? 3 : Number.POSITIVE_INFINITY;
  const named = resourceAt(segments.slice(prefix));
  if (segments.length <= prefix || named === undefined) {
    return { verb: reading ? "get" : method.toLowerCase(), group: "", path, dryRun };
  }
  const group = prefix === 2 ? "" : (segments[1] ?? "");
  const verb = verbOf(method, named.name !== undefined, isSet(query, "watch"));
  const follows = named.subresource !== undefined && isSet(query, "follow");
  return { verb, group, ...named, path, dryRun, ...(follows ? { follows } : {}) };
}

interface Named {
  readonly resource: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

function resourceAt(rest: readonly string[]): Named | undefined {
  const [first, second, third] = rest;
  const inside = first === "namespaces" && third !== undefined && !NAMESPACE_PARTS.includes(third);
  const [resource, name, subresource] = inside ? rest.slice(2) : rest;
  if (resource === undefined) return undefined;
  const namespace = first === "namespaces" ? second : undefined;
  return {
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

function verbOf(method: string, one: boolean, watching: boolean): string {
  if (method === "GET" || method === "HEAD") return one ? "get" : watching ? "watch" : "list";
  if (method === "DELETE" && !one) return "deletecollection";
  return METHOD_VERBS[method] ?? method.toLowerCase();
}

function isSet(query: URLSearchParams | undefined, parameter: "watch" | "follow"): boolean {
  const value = query?.get(parameter);
  return value !== undefined && value !== null && value !== "false" && value !== "0";
}

/** The path's parts, decoded. Nothing in the API has a name that could lead a path elsewhere. */
function segmentsOf(path: string): string[] {
  // What is behind a # would be no part of the path to whoever reads it as an URL.
  if (!path.startsWith("/") || path.includes("#")) throw badRequest("the request's target is no path");
  const segments = path.split("/").filter((segment) => segment !== "");
  return segments.map((segment) => {
    const text = segment.includes("%") ? decoded(segment) : segment;
    if (text === "." || text === ".." || NAMELESS.test(text)) {
      throw badRequest(`the path has a part that is no name: ${JSON.stringify(text.slice(0, 100))}`);
    }
    return text;
  });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: no name has them
const NAMELESS = /[/\\\u0000-\u001f\u007f]/;

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("the path is not valid percent-encoding");
  }
}

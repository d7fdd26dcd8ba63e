import type { ResourceDefinition } from "../model/api/resource.ts";
import type { Catalog } from "./catalog.ts";
import { badRequest, noSuchResource } from "./refusals.ts";

/** What a path leads to. */
export type Route =
  | { readonly to: "document"; readonly path: readonly string[] }
  | ({ readonly to: "resource" } & ResourceRoute);

/** A collection of objects of a kind, or one of them. */
export interface ResourceRoute {
  readonly definition: ResourceDefinition;
  /** Absent: all namespaces, or a cluster-scoped resource. */
  readonly namespace?: string;
  /** Absent: the collection. */
  readonly name?: string;
  readonly subresource?: "status";
}

/**
 * Reads a path of the API. Paths that are no resource's are documents: discovery, versions, health.
 *
 * @throws ApiError 400 for a path that cannot be decoded, 404 for a resource that is not served.
 */
export function readRoute(catalog: Catalog, pathname: string): Route {
  const path = pathname.split("/").filter((segment) => segment !== "");
  const segments = path.map(decodeSegment);
  const [root] = segments;
  const prefix = root === "api" ? 2 : root === "apis" ? 3 : Number.POSITIVE_INFINITY;
  if (segments.length <= prefix) return { to: "document", path: segments };
  const group = root === "api" ? "" : (segments[1] ?? "");
  const version = segments[prefix - 1] ?? "";
  return resourceRoute(catalog, group, version, segments.slice(prefix));
}

function resourceRoute(catalog: Catalog, group: string, version: string, rest: readonly string[]): Route {
  if (rest[0] === "namespaces" && rest[1] !== undefined && rest[2] !== undefined) {
    const nested = catalog.find(group, version, rest[2]);
    if (nested?.namespaced === true) return inResource(nested, rest.slice(3), rest[1]);
  }
  const definition = catalog.find(group, version, rest[0] ?? "");
  if (definition === undefined) throw noSuchResource();
  const below = rest.slice(1);
  if (definition.namespaced && below.length > 0) throw noSuchResource();
  return inResource(definition, below, undefined);
}

function inResource(definition: ResourceDefinition, below: readonly string[], namespace: string | undefined): Route {
  const [name, subresource] = below;
  const found = { to: "resource", definition, ...(namespace === undefined ? {} : { namespace }) } as const;
  if (name === undefined) return found;
  if (subresource === undefined) return { ...found, name };
  if (below.length > 2 || subresource !== "status" || !definition.statusSubresource) throw noSuchResource();
  return { ...found, name, subresource };
}

function decodeSegment(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    throw badRequest("the path is not valid percent-encoding");
  }
}

import type { ResourceDefinition } from "../model/api/resource.ts";

/** The resources that one server serves, found by what a path or an object names. */
export interface Catalog {
  readonly definitions: readonly ResourceDefinition[];
  /** In the order of the definitions, the core group (empty) first. */
  readonly groups: readonly ApiGroup[];
  find(group: string, version: string, plural: string): ResourceDefinition | undefined;
  /** The definition that an object of the store is written in: the first one of its resource. */
  stored(group: string, plural: string): ResourceDefinition | undefined;
  /** By `apiVersion` and `kind`, as owner references name it. */
  byKind(apiVersion: string, kind: string): ResourceDefinition | undefined;
}

export interface ApiGroup {
  readonly name: string;
  /** The first is preferred. */
  readonly versions: readonly string[];
}

export function makeCatalog(definitions: readonly ResourceDefinition[]): Catalog {
  const byPath = new Map<string, ResourceDefinition>();
  const byPlural = new Map<string, ResourceDefinition>();
  const byKind = new Map<string, ResourceDefinition>();
  for (const definition of definitions) {
    const path = `${definition.group}/${definition.version}/${definition.plural}`;
    if (byPath.has(path)) throw new Error(`the resource ${path} is defined twice`);
    byPath.set(path, definition);
    const resource = `${definition.group}/${definition.plural}`;
    if (!byPlural.has(resource)) byPlural.set(resource, definition);
    byKind.set(`${apiVersionOf(definition)} ${definition.kind}`, definition);
  }
  const versions = new Map<string, Set<string>>([["", new Set(["v1"])]]);
  for (const { group, version } of definitions) {
    const known = versions.get(group) ?? new Set();
    versions.set(group, known.add(version));
  }
  return {
    definitions,
    groups: [...versions].map(([name, known]) => ({ name, versions: [...known] })),
    find: (group, version, plural) => byPath.get(`${group}/${version}/${plural}`),
    stored: (group, plural) => byPlural.get(`${group}/${plural}`),
    byKind: (apiVersion, kind) => byKind.get(`${apiVersion} ${kind}`),
  };
}

/** `v1` or `kubevirt.io/v1`. */
export function apiVersionOf({ group, version }: Pick<ResourceDefinition, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

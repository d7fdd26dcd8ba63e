import type { ResourceDefinition } from "../model/api/resource.ts";

/** The resources that one server serves, found by what a path or an object names. */
export interface Catalog {
  /** Another list whenever something else is served: what is made of it can be kept by it. */
  readonly definitions: readonly ResourceDefinition[];
  /** Calls below objects, which are no writes of them; discovery tells them. */
  readonly subresources: readonly ServedSubresource[];
  /** In the order of the definitions, the core group (empty) first; those of subresources alone come last. */
  readonly groups: readonly ApiGroup[];
  find(group: string, version: string, plural: string): ResourceDefinition | undefined;
  /** The definition that an object of the store is written in: the first one of its resource, where nothing else is said. */
  stored(group: string, plural: string): ResourceDefinition | undefined;
  /** By `apiVersion` and `kind`, as owner references name it. */
  byKind(apiVersion: string, kind: string): ResourceDefinition | undefined;
}

/** A catalog whose users' kinds come and go. */
export interface LiveCatalog extends Catalog {
  /** Serves these beside the definitions of the start, in place of those of the last call. */
  serve(custom: readonly CustomKind[]): void;
}

/** A kind that a CustomResourceDefinition made. */
export interface CustomKind {
  readonly served: readonly ResourceDefinition[];
  /** The version that objects are written in; it need not be served. */
  readonly storage: ResourceDefinition;
}

/** Where a call below the objects of a namespaced resource is served. */
export interface ServedSubresource {
  readonly group: string;
  /** The first is preferred. */
  readonly versions: readonly string[];
  readonly plural: string;
  readonly subresource: string;
  readonly verb: "get" | "update";
}

export interface ApiGroup {
  readonly name: string;
  /** The first is preferred. */
  readonly versions: readonly string[];
}

export function makeCatalog(
  definitions: readonly ResourceDefinition[],
  subresources: readonly ServedSubresource[] = [],
): LiveCatalog {
  let current = index(definitions, [], subresources);
  return {
    subresources,
    get definitions() {
      return current.definitions;
    },
    get groups() {
      return current.groups;
    },
    find: (group, version, plural) => current.find(group, version, plural),
    stored: (group, plural) => current.stored(group, plural),
    byKind: (apiVersion, kind) => current.byKind(apiVersion, kind),
    serve(custom) {
      current = index(definitions, custom, subresources);
    },
  };
}

function index(
  builtIn: readonly ResourceDefinition[],
  custom: readonly CustomKind[],
  subresources: readonly ServedSubresource[],
): Catalog {
  const definitions = [...builtIn, ...custom.flatMap(({ served }) => served)];
  const byPath = new Map<string, ResourceDefinition>();
  const byPlural = new Map<string, ResourceDefinition>();
  const byKind = new Map<string, ResourceDefinition>();
  for (const { storage } of custom) byPlural.set(`${storage.group}/${storage.plural}`, storage);
  for (const definition of definitions) {
    const path = `${definition.group}/${definition.version}/${definition.plural}`;
    if (byPath.has(path)) throw new Error(`the resource ${path} is defined twice`);
    byPath.set(path, definition);
    const resource = `${definition.group}/${definition.plural}`;
    if (!byPlural.has(resource)) byPlural.set(resource, definition);
    byKind.set(`${apiVersionOf(definition)} ${definition.kind}`, definition);
  }
  const versions = new Map<string, Set<string>>([["", new Set(["v1"])]]);
  const served = [
    ...definitions,
    ...subresources.flatMap(({ group, versions: all }) => all.map((version) => ({ group, version }))),
  ];
  for (const { group, version } of served) {
    const known = versions.get(group) ?? new Set();
    versions.set(group, known.add(version));
  }
  return {
    definitions,
    subresources,
    groups: [...versions].map(([name, known]) => ({ name, versions: [...known].toSorted(byVersionPriority) })),
    find: (group, version, plural) => byPath.get(`${group}/${version}/${plural}`),
    stored: (group, plural) => byPlural.get(`${group}/${plural}`),
    byKind: (apiVersion, kind) => byKind.get(`${apiVersion} ${kind}`),
  };
}

/** `v1` or `kubevirt.io/v1`. */
export function apiVersionOf({ group, version }: Pick<ResourceDefinition, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Kind of a list of a kind's objects. */
export function listKindOf({ kind, listKind = `${kind}List` }: Pick<ResourceDefinition, "kind" | "listKind">): string {
  return listKind;
}

const STAGES = ["alpha", "beta", ""];

/**
 * The order in which versions are preferred (Kubernetes, "Versions in CustomResourceDefinitions"): stable ones, beta,
 * alpha, each the higher first; then other names by the alphabet.
 */
function byVersionPriority(left: string, right: string): number {
  const [a, b] = [ranked(left), ranked(right)];
  if (a === undefined || b === undefined) return a === b ? (left < right ? -1 : 1) : a === undefined ? 1 : -1;
  return b.stage - a.stage || b.major - a.major || b.minor - a.minor;
}

function ranked(version: string): { stage: number; major: number; minor: number } | undefined {
  const match = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/.exec(version);
  if (match === null) return undefined;
  const [, major, stage = "", minor = "0"] = match;
  return { stage: STAGES.indexOf(stage), major: Number(major), minor: Number(minor) };
}

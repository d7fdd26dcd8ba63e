import type { ResourceDefinition } from "../model/api/resource.ts";
import { type ApiGroup, apiVersionOf, type Catalog, type ServedSubresource } from "./catalog.ts";
import { isNamespaceResource } from "./namespaces.ts";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/** Namespaces go one by one, in Kubernetes too. */
const NAMESPACE_VERBS = VERBS.filter((verb) => verb !== "deletecollection");
const SUBRESOURCE_VERBS = ["get", "patch", "update"];

/** `/api`: the versions of the core group. */
export function apiVersions(): object {
  return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
}

/** `/apis`: the named groups. */
export function apiGroupList(catalog: Catalog): object {
  return { kind: "APIGroupList", apiVersion: "v1", groups: named(catalog).map(groupEntry) };
}

/** `/apis/GROUP`. */
export function apiGroup(catalog: Catalog, name: string): object | undefined {
  const group = named(catalog).find((candidate) => candidate.name === name);
  return group === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupEntry(group) };
}

/** `/api/v1` and `/apis/GROUP/VERSION`. */
export function apiResourceList(catalog: Catalog, group: string, version: string): object | undefined {
  const served = catalog.groups.some(({ name, versions }) => name === group && versions.includes(version));
  if (!served) return undefined;
  const definitions = ofVersion(catalog, group, version);
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersionOf({ group, version }),
    resources: [
      ...definitions.flatMap(listedResource),
      ...subresourcesOf(catalog, group, version).map(({ plural, subresource, verb }) => ({
        name: `${plural}/${subresource}`,
        singularName: "",
        namespaced: true,
        kind: catalog.find(group, version, plural)?.kind ?? "",
        verbs: [verb],
      })),
    ],
  };
}

/** A resource and its status. */
function listedResource(definition: ResourceDefinition): readonly object[] {
  return [
    {
      name: definition.plural,
      singularName: definition.singular,
      namespaced: definition.namespaced,
      kind: definition.kind,
      verbs: isNamespaceResource(definition) ? NAMESPACE_VERBS : VERBS,
      ...aliases(definition),
    },
    ...(definition.statusSubresource
      ? [
          {
            name: `${definition.plural}/status`,
            singularName: "",
            namespaced: definition.namespaced,
            kind: definition.kind,
            verbs: SUBRESOURCE_VERBS,
          },
        ]
      : []),
  ];
}

/** The whole of `/api` (the core group) or of `/apis` in one document of apidiscovery.k8s.io. */
export function aggregatedDiscovery(catalog: Catalog, core: boolean, documentVersion: "v2" | "v2beta1"): object {
  const groups = core ? catalog.groups.filter(({ name }) => name === "") : named(catalog);
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${documentVersion}`,
    metadata: {},
    items: groups.map(({ name, versions }) => ({
      metadata: name === "" ? { creationTimestamp: null } : { name, creationTimestamp: null },
      versions: versions.map((version) => ({
        version,
        freshness: "Current",
        resources: [
          ...ofVersion(catalog, name, version).map((definition) => discoveredResource(catalog, definition)),
          ...discoveredSubresources(catalog, name, version),
        ],
      })),
    })),
  };
}

function discoveredResource(catalog: Catalog, definition: ResourceDefinition): object {
  const { group, version, kind, plural, statusSubresource } = definition;
  const responseKind = { group, version, kind };
  const below = [
    ...(statusSubresource ? [{ subresource: "status", responseKind, verbs: SUBRESOURCE_VERBS }] : []),
    ...subresourcesOf(catalog, group, version)
      .filter((one) => one.plural === plural)
      .map(({ subresource, verb }) => ({ subresource, responseKind, verbs: [verb] })),
  ];
  return {
    resource: definition.plural,
    responseKind,
    scope: definition.namespaced ? "Namespaced" : "Cluster",
    singularResource: definition.singular,
    verbs: isNamespaceResource(definition) ? NAMESPACE_VERBS : VERBS,
    ...aliases(definition),
    ...(below.length === 0 ? {} : { subresources: below }),
  };
}

/** Calls below resources of another group: the resource itself is named, and has no kind and no verbs here. */
function discoveredSubresources(catalog: Catalog, group: string, version: string): readonly object[] {
  const others = subresourcesOf(catalog, group, version).filter(({ plural }) => !catalog.find(group, version, plural));
  const byPlural = Map.groupBy(others, ({ plural }) => plural);
  const responseKind = { group: "", version: "", kind: "" };
  return [...byPlural].map(([plural, below]) => ({
    resource: plural,
    responseKind,
    scope: "Namespaced",
    singularResource: "",
    verbs: [],
    subresources: below.map(({ subresource, verb }) => ({ subresource, responseKind, verbs: [verb] })),
  }));
}

function subresourcesOf({ subresources }: Catalog, group: string, version: string): readonly ServedSubresource[] {
  return subresources.filter((one) => one.group === group && one.versions.includes(version));
}

function aliases(definition: ResourceDefinition): object {
  return {
    ...(definition.shortNames.length === 0 ? {} : { shortNames: definition.shortNames }),
    ...(definition.categories.length === 0 ? {} : { categories: definition.categories }),
  };
}

function named(catalog: Catalog): readonly ApiGroup[] {
  return catalog.groups.filter(({ name }) => name !== "");
}

function ofVersion(catalog: Catalog, group: string, version: string): readonly ResourceDefinition[] {
  return catalog.definitions.filter((definition) => definition.group === group && definition.version === version);
}

function groupEntry({ name, versions }: ApiGroup): object {
  const entries = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: entries, preferredVersion: entries[0] };
}

import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { objectAt, textAt } from "../model/json.ts";
import type { Catalog } from "./catalog.ts";
import { forbidden, notFound } from "./refusals.ts";
import { parseStored } from "./serving.ts";
import type { ObjectKey, StoredObject } from "./store.ts";

/** Namespaces that exist from the start and cannot be deleted. */
export const PERMANENT_NAMESPACES: readonly string[] = ["default", "kube-system"];

/** The one kind whose objects other objects lie in; it is part of the paths of the API. */
export function isNamespaceResource(definition: Pick<ResourceDefinition, "group" | "plural">): boolean {
  return definition.group === "" && definition.plural === "namespaces";
}

export function namespaceKey(name: string): ObjectKey {
  return { group: "", plural: "namespaces", namespace: "", name };
}

/**
 * Refuses a creation in a namespace that is not there (404) or that is going (403).
 *
 * A server whose catalog has no namespaces takes any.
 */
export function requireNamespace(
  catalog: Catalog,
  get: (key: ObjectKey) => StoredObject | undefined,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
): void {
  const namespaces = catalog.stored("", "namespaces");
  if (!definition.namespaced || namespaces === undefined) return;
  const stored = get(namespaceKey(namespace));
  if (stored === undefined) throw notFound(namespaces, namespace);
  if (textAt(objectAt(parseStored(stored.body), "metadata"), "deletionTimestamp") !== undefined) {
    throw forbidden(
      definition,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: "NamespaceTerminating",
          message: `namespace ${namespace} is being terminated`,
          field: "metadata.namespace",
        },
      ],
    );
  }
}

/** The label by which selectors find a namespace. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** A namespace as it is stored first: with the label of its name, and active. */
export function asNewNamespace(namespace: KubeObject): KubeObject {
  const { name, labels } = namespace.metadata;
  const labelled = { ...namespace, metadata: { ...namespace.metadata, labels: { ...labels, [NAME_LABEL]: name } } };
  return withPhase(labelled, "Active");
}

/** What Kubernetes keeps in a namespace's status. */
export function withPhase(namespace: KubeObject, phase: "Active" | "Terminating"): KubeObject {
  return { ...namespace, status: { ...objectAt(namespace, "status"), phase } };
}

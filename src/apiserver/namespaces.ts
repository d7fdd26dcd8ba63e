import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../model/json.ts";
import { type Condition, type ConditionClaim, withCondition } from "../model/status/conditions.ts";
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
  return withPhase(withNameLabel(namespace), "Active");
}

/** A namespace with the label of its name, whatever was written. */
export function withNameLabel(namespace: KubeObject): KubeObject {
  const { name, labels } = namespace.metadata;
  if (labels?.[NAME_LABEL] === name) return namespace;
  return { ...namespace, metadata: { ...namespace.metadata, labels: { ...labels, [NAME_LABEL]: name } } };
}

/**
 * A namespace that waits for its content to go, with the conditions by which Kubernetes says what it waits for; `at` is
 * RFC 3339.
 */
export function withRemaining(namespace: KubeObject, content: readonly StoredObject[], at: string): KubeObject {
  const status = objectAt(namespace, "status");
  const given = status["conditions"];
  const earlier = Array.isArray(given) ? given.filter(isCondition) : [];
  const kinds = counted(content.map(({ group, plural }) => (group === "" ? plural : `${plural}.${group}`)));
  const held = counted(content.flatMap(({ body }) => finalizersOf(parseStored(body))));
  const claims: readonly ConditionClaim[] = [
    {
      type: "NamespaceContentRemaining",
      status: kinds === "" ? "False" : "True",
      reason: kinds === "" ? "ContentRemoved" : "SomeResourcesRemain",
      message: kinds === "" ? "All content successfully removed" : `Some resources are remaining: ${kinds}`,
    },
    {
      type: "NamespaceFinalizersRemaining",
      status: held === "" ? "False" : "True",
      reason: held === "" ? "ContentHasNoFinalizers" : "SomeFinalizersRemain",
      message:
        held === ""
          ? "All content-preserving finalizers finished"
          : `Some content in the namespace has finalizers remaining: ${held}`,
    },
  ];
  const conditions = claims.reduce<readonly Condition[]>((list, claim) => withCondition(list, claim, at), earlier);
  return { ...namespace, status: { ...status, conditions } };
}

function counted(names: readonly string[]): string {
  return [...Map.groupBy(names, (name) => name)]
    .map(([name, each]) => `${name} in ${each.length} resource instances`)
    .toSorted()
    .join(", ");
}

function finalizersOf(object: JsonObject): readonly string[] {
  const finalizers = objectAt(object, "metadata")["finalizers"];
  return Array.isArray(finalizers) ? finalizers.filter((each) => typeof each === "string") : [];
}

function isCondition(value: unknown): value is Condition {
  return isJsonObject(value) && typeof value["type"] === "string" && typeof value["status"] === "string";
}

/** What Kubernetes keeps in a namespace's status. */
export function withPhase(namespace: KubeObject, phase: "Active" | "Terminating"): KubeObject {
  return { ...namespace, status: { ...objectAt(namespace, "status"), phase } };
}

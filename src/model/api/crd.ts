import type { JsonSchema, ResourceDefinition } from "./resource.ts";

/**
 * The CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind, whose objects are stored in the version of
 * `definition`; `others` are its further versions. The schemas are structural.
 */
export function crdOf(
  definition: ResourceDefinition,
  others: readonly ResourceDefinition[] = [],
): Readonly<Record<string, unknown>> {
  const { group, kind, plural, singular, shortNames, categories } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: definition.namespaced ? "Namespaced" : "Cluster",
      conversion: { strategy: "None" },
      names: { kind, plural, singular, listKind: definition.listKind ?? `${kind}List`, shortNames, categories },
      versions: [definition, ...others].map((each) => ({
        name: each.version,
        served: true,
        storage: each === definition,
        ...(each.deprecation === undefined ? {} : { deprecated: true, deprecationWarning: each.deprecation }),
        ...(each.statusSubresource ? { subresources: { status: {} } } : {}),
        additionalPrinterColumns: each.columns.map((column) => ({ ...column })),
        schema: { openAPIV3Schema: crdSchema(each.schema ?? ANY) },
      })),
    },
  };
}

const ANY: JsonSchema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/** Kubernetes knows metadata of the root itself, and lets no schema say more of it. */
function crdSchema(schema: JsonSchema): JsonSchema {
  const { properties } = schema;
  if (typeof properties !== "object" || properties === null || !("metadata" in properties)) return schema;
  return { ...schema, properties: { ...properties, metadata: { type: "object" } } };
}

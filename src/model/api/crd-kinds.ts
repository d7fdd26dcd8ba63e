import { isJsonObject, type JsonObject, objectAt } from "../json.ts";
import type { CrdNames, CrdVersion, CustomResourceDefinition } from "./crd-types.ts";
import { metadata } from "./metadata.ts";
import type { JsonSchema, PrinterColumn, ResourceDefinition } from "./resource.ts";
import { text } from "./schema.ts";

const AGE: PrinterColumn = {
  name: "Age",
  type: "date",
  jsonPath: ".metadata.creationTimestamp",
  description: "Time since the object was made.",
  priority: 0,
};

/** The names of a kind with those that it may leave out. */
export function fullNames(names: CrdNames): Required<CrdNames> {
  const { kind, plural, singular = kind.toLowerCase(), listKind = `${kind}List` } = names;
  return { kind, plural, singular, listKind, shortNames: names.shortNames ?? [], categories: names.categories ?? [] };
}

/** The kind that one version of a CustomResourceDefinition makes, under the names that were accepted. */
export function kindOfVersion(
  name: string,
  { group, scope }: CustomResourceDefinition["spec"],
  version: CrdVersion,
  names: CrdNames,
): ResourceDefinition {
  const columns = version.additionalPrinterColumns ?? [];
  return {
    ...fullNames(names),
    group,
    version: version.name,
    namespaced: scope === "Namespaced",
    statusSubresource: version.subresources?.status !== undefined,
    schema: rootSchema(version.schema?.openAPIV3Schema ?? {}),
    definedBy: name,
    ...(version.deprecated === true
      ? { deprecation: version.deprecationWarning ?? `${group}/${version.name} ${names.kind} is deprecated` }
      : {}),
    columns: columns.length === 0 ? [AGE] : columns.map((column) => ({ description: "", priority: 0, ...column })),
  };
}

/** The schema of whole objects: what Kubernetes knows of each by itself comes to what the user says. */
function rootSchema(schema: JsonSchema): JsonSchema {
  const properties = objectAt(schema, "properties");
  return {
    ...schema,
    type: "object",
    properties: {
      ...properties,
      apiVersion: { ...text("Group and version of the kind."), ...own(properties, "apiVersion") },
      kind: { ...text("The kind."), ...own(properties, "kind") },
      metadata: { ...metadata, properties: restricted(own(properties, "metadata")) },
    },
  };
}

/** Fields of metadata, with what a user's schema says of a name more. */
function restricted(given: JsonObject): JsonObject {
  const known = objectAt(metadata, "properties");
  const more = objectAt(given, "properties");
  return Object.fromEntries(
    Object.entries(known).map(([name, field]) => [name, { ...(isJsonObject(field) ? field : {}), ...own(more, name) }]),
  );
}

function own(object: JsonObject, key: string): JsonObject {
  return Object.hasOwn(object, key) ? objectAt(object, key) : {};
}

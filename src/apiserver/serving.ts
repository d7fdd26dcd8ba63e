import type { ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { apiVersionOf, type Catalog } from "./catalog.ts";
import { withFields } from "./json.ts";
import type { ObjectKey } from "./store.ts";

/** The object in a text of the store. */
export function parseStored(body: string): JsonObject {
  const value: unknown = JSON.parse(body);
  if (!isJsonObject(value)) throw new Error("the store holds a text that is no object");
  return value;
}

/** A stored text as this version of its resource shows it. */
export function servedBody(catalog: Catalog, definition: ResourceDefinition, body: string): string {
  if (catalog.stored(definition.group, definition.plural)?.version === definition.version) return body;
  return JSON.stringify(servedObject(catalog, definition, body));
}

/** The same, parsed. */
export function servedObject(catalog: Catalog, definition: ResourceDefinition, body: string): JsonObject {
  const object = parseStored(body);
  if (catalog.stored(definition.group, definition.plural)?.version === definition.version) return object;
  return withFields(object, { apiVersion: apiVersionOf(definition) });
}

/** The text to store: always in the first version of the resource. */
export function storedBody(catalog: Catalog, definition: ResourceDefinition, object: JsonObject): string {
  const storage = catalog.stored(definition.group, definition.plural) ?? definition;
  return JSON.stringify({ ...object, apiVersion: apiVersionOf(storage) });
}

export function keyFor(definition: ResourceDefinition, namespace: string, name: string): ObjectKey {
  return {
    group: definition.group,
    plural: definition.plural,
    namespace: definition.namespaced ? namespace : "",
    name,
  };
}

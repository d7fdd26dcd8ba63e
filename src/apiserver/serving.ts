import type { ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { apiVersionOf, type Catalog } from "./catalog.ts";
import type { ObjectKey } from "./store.ts";

/** The object in a text of the store. */
export function parseStored(body: string): JsonObject {
  const value: unknown = JSON.parse(body);
  if (!isJsonObject(value)) throw new Error("the store holds a text that is no object");
  return value;
}

/** A stored text as this version of its resource shows it: versions differ in nothing but their name. */
export function servedBody(definition: ResourceDefinition, body: string): string {
  return isOfVersion(definition, body) ? body : JSON.stringify(servedObject(definition, body));
}

/** The same, parsed. */
export function servedObject(definition: ResourceDefinition, body: string): JsonObject {
  const object = parseStored(body);
  return isOfVersion(definition, body) ? object : { ...object, apiVersion: apiVersionOf(definition) };
}

/** The text to store, with the version first that objects of the resource are written in. */
export function storedBody(catalog: Catalog, definition: ResourceDefinition, object: JsonObject): string {
  const apiVersion = apiVersionOf(catalog.stored(definition.group, definition.plural) ?? definition);
  // Assigned to the first key: it stays the first.
  return JSON.stringify(Object.assign({ apiVersion }, object, { apiVersion }));
}

/** Tells it without parsing: a text's version comes first. */
function isOfVersion(definition: ResourceDefinition, body: string): boolean {
  return body.startsWith(`{"apiVersion":${JSON.stringify(apiVersionOf(definition))},`);
}

export function keyFor(definition: ResourceDefinition, namespace: string, name: string): ObjectKey {
  return {
    group: definition.group,
    plural: definition.plural,
    namespace: definition.namespaced ? namespace : "",
    name,
  };
}

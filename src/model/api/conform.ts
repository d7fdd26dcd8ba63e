import { isJsonObject, type JsonObject } from "../json.ts";
import type { JsonSchema } from "./resource.ts";

/**
 * A value without the fields that its schema does not know, and with the defaults that the schema has for absent ones,
 * in this order, as Kubernetes does with custom resources. What is of a wrong type is left as it is.
 */
export function conform(schema: JsonSchema, value: unknown): unknown {
  return withDefaults(schema, prune(schema, value));
}

/** Fields that an object inside another one has whatever its schema says (`x-kubernetes-embedded-resource`). */
const EMBEDDED = ["apiVersion", "kind", "metadata"];

function prune(schema: JsonSchema, value: unknown): unknown {
  const { items, additionalProperties } = schema;
  if (Array.isArray(value)) return isJsonObject(items) ? value.map((item) => prune(items, item)) : value;
  if (!isJsonObject(value)) return value;
  const open = schema["x-kubernetes-preserve-unknown-fields"] === true || additionalProperties === true;
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  const properties = fieldsOf(schema);
  const kept = Object.entries(value).flatMap(([key, field]): [string, unknown][] => {
    const known = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    if (isJsonObject(known)) return [[key, prune(known, field)]];
    // A schema that says nothing of its type says nothing of its fields either.
    const untyped = schema["type"] === undefined && schema["properties"] === undefined;
    return open || untyped || (embedded && EMBEDDED.includes(key)) ? [[key, field]] : [];
  });
  return Object.fromEntries(kept);
}

function withDefaults(schema: JsonSchema, value: unknown): unknown {
  const { items, additionalProperties } = schema;
  if (Array.isArray(value)) return isJsonObject(items) ? value.map((item) => withDefaults(items, item)) : value;
  if (!isJsonObject(value)) return value;
  const properties = fieldsOf(schema);
  const filled = Object.entries(value).map(([key, field]): [string, unknown] => {
    const known = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    return [key, isJsonObject(known) ? withDefaults(known, field) : field];
  });
  const added = Object.entries(properties)
    .filter(([key, field]) => !Object.hasOwn(value, key) && field["default"] !== undefined)
    .map(([key, field]): [string, unknown] => [key, withDefaults(field, field["default"])]);
  return Object.fromEntries([...filled, ...added]);
}

function fieldsOf({ properties }: JsonObject): Readonly<Record<string, JsonObject>> {
  return isJsonObject(properties) ? (properties as Readonly<Record<string, JsonObject>>) : {};
}

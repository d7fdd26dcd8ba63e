import { isJsonObject, type JsonObject } from "../json.ts";
import type { JsonSchema } from "./resource.ts";
import { EMBEDDED_FIELDS } from "./shape.ts";

/**
 * A value without the fields that its schema does not know, and with the defaults that the schema has for absent ones,
 * in this order, as Kubernetes does with custom resources. What is of a wrong type is left as it is; a value that has
 * nothing to change is given back itself.
 */
export function conform(schema: JsonSchema, value: unknown): unknown {
  return withDefaults(schema, prune(schema, value));
}

/** The value without the fields that its schema does not know. */
export function prune(schema: JsonSchema, value: unknown): unknown {
  const { items, additionalProperties } = schema;
  if (Array.isArray(value)) return isJsonObject(items) ? eachItem(value, (item) => prune(items, item)) : value;
  if (!isJsonObject(value)) return value;
  const open = schema["x-kubernetes-preserve-unknown-fields"] === true || additionalProperties === true;
  // A schema that says nothing of its type says nothing of its fields either.
  const untyped = schema["type"] === undefined && schema["properties"] === undefined;
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  const properties = fieldsOf(schema);
  return eachField(value, (key, field) => {
    const known = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    if (isJsonObject(known)) return prune(known, field);
    return open || untyped || (embedded && EMBEDDED_FIELDS.includes(key)) ? field : undefined;
  });
}

function withDefaults(schema: JsonSchema, value: unknown): unknown {
  const { items, additionalProperties } = schema;
  if (Array.isArray(value)) return isJsonObject(items) ? eachItem(value, (item) => withDefaults(items, item)) : value;
  if (!isJsonObject(value)) return value;
  const properties = fieldsOf(schema);
  const filled = eachField(value, (key, field) => {
    const known = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
    return isJsonObject(known) ? withDefaults(known, field) : field;
  });
  let added: Record<string, unknown> | undefined;
  for (const key in properties) {
    const field = properties[key];
    if (field?.["default"] === undefined || Object.hasOwn(value, key)) continue;
    added ??= { ...filled };
    added[key] = withDefaults(field, field["default"]);
  }
  return added ?? filled;
}

/** The object with other fields, or without them where that is undefined; itself where none differs. */
function eachField(object: JsonObject, change: (key: string, field: unknown) => unknown): JsonObject {
  let changed = false;
  const fields = Object.entries(object).flatMap(([key, field]): [string, unknown][] => {
    const next = change(key, field);
    changed ||= next !== field;
    return next === undefined ? [] : [[key, next]];
  });
  return changed ? Object.fromEntries(fields) : object;
}

function eachItem(list: readonly unknown[], change: (item: unknown) => unknown): readonly unknown[] {
  const items = list.map(change);
  return items.every((item, index) => item === list[index]) ? list : items;
}

function fieldsOf({ properties }: JsonObject): Readonly<Record<string, JsonObject>> {
  return isJsonObject(properties) ? (properties as Readonly<Record<string, JsonObject>>) : {};
}

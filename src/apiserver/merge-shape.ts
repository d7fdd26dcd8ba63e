import { metadata } from "../model/api/metadata.ts";
import type { JsonSchema, ResourceDefinition } from "../model/api/resource.ts";
import { anyObject, asSet, atomic, keyed, list, text } from "../model/api/schema.ts";
import { isJsonObject, type JsonObject, objectAt } from "../model/json.ts";
import { keyStep, valueStep } from "./field-set.ts";

/**
 * How a value takes part in server-side apply: a `leaf` is owned and replaced as one, an object of `fields` field by
 * field, a list of `elements` element by element.
 */
export type MergeShape =
  | { readonly kind: "leaf" }
  | { readonly kind: "fields"; readonly object: JsonObject }
  | { readonly kind: "elements"; readonly elements: Elements };

/** A list's elements by the steps to them, in the list's order. */
export interface Elements {
  readonly items: ReadonlyMap<string, unknown>;
  /** Steps that lead to several elements; in `items` they have the list of these. */
  readonly repeated: ReadonlySet<string>;
  readonly schema: JsonSchema | undefined;
  /** Names of the fields by which elements are known; empty for plain values. */
  readonly keys: readonly string[];
}

const LEAF: MergeShape = { kind: "leaf" };
const NONE: ReadonlySet<string> = new Set();

/**
 * The shape of a value by its schema's `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-map-type`.
 * What these do not speak of: objects have fields, lists are leaves. A list that cannot be told apart by its keys is a
 * leaf, too.
 */
export function shapeOf(schema: JsonSchema | undefined, value: unknown): MergeShape {
  if (Array.isArray(value)) {
    const elements = elementsOf(schema, value);
    return typeof elements === "string" || elements === undefined ? LEAF : { kind: "elements", elements };
  }
  if (!isJsonObject(value) || schema?.["x-kubernetes-map-type"] === "atomic") return LEAF;
  return { kind: "fields", object: value };
}

/** The schema of a field of an object with this schema; undefined where nothing is said of it. */
export function schemaOfField(schema: JsonSchema | undefined, name: string): JsonSchema | undefined {
  if (schema === undefined) return undefined;
  const { additionalProperties } = schema;
  return declaredField(schema, name) ?? (isJsonObject(additionalProperties) ? additionalProperties : undefined);
}

/** The schema of a field that is named by its object's schema. */
export function declaredField(schema: JsonSchema | undefined, name: string): JsonSchema | undefined {
  const properties = schema?.["properties"];
  const field = isJsonObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
  return isJsonObject(field) ? field : undefined;
}

/** A list's elements; a sentence where they cannot be told apart as the schema wants, undefined where it wants nothing. */
export function elementsOf(schema: JsonSchema | undefined, list: readonly unknown[]): Elements | string | undefined {
  const type = schema?.["x-kubernetes-list-type"];
  if (schema === undefined || (type !== "map" && type !== "set")) return undefined;
  const ofItems = isJsonObject(schema["items"]) ? schema["items"] : undefined;
  const keys = type === "map" ? namesOf(schema["x-kubernetes-list-map-keys"]) : [];
  const items = new Map<string, unknown>();
  let repeated: Set<string> | undefined;
  for (const item of list) {
    const step = type === "map" ? stepByKeys(keys, ofItems, item) : stepByValue(item);
    if (!step.startsWith("k:") && !step.startsWith("v:")) return step;
    if (!items.has(step)) {
      items.set(step, item);
    } else if (repeated?.has(step)) {
      const several = items.get(step);
      items.set(step, [...(Array.isArray(several) ? several : []), item]);
    } else {
      repeated ??= new Set();
      repeated.add(step);
      items.set(step, [items.get(step), item]);
    }
  }
  return { items, repeated: repeated ?? NONE, schema: ofItems, keys };
}

function stepByKeys(keys: readonly string[], schema: JsonSchema | undefined, item: unknown): string {
  if (!isJsonObject(item)) return "an element is no object";
  const found: [string, unknown][] = [];
  for (const key of keys) {
    const value = item[key] ?? declaredField(schema, key)?.["default"];
    if (value === undefined) return `an element lacks "${key}", by which elements are told apart`;
    if (typeof value === "object") return `"${key}" of an element, by which elements are told apart, is no plain value`;
    found.push([key, value]);
  }
  return keyStep(Object.fromEntries(found));
}

function stepByValue(item: unknown): string {
  return typeof item === "object" ? "an element of a set is no plain value" : valueStep(item);
}

function namesOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name): name is string => typeof name === "string") : [];
}

/** How Kubernetes merges metadata (meta/v1 ObjectMeta). */
const METADATA: JsonSchema = {
  ...metadata,
  properties: {
    ...objectAt(metadata, "properties"),
    finalizers: asSet(list("", text(""))),
    ownerReferences: keyed(list("", atomic(anyObject(""))), "uid"),
  },
};

const schemas = new WeakMap<ResourceDefinition, JsonSchema>();

/** The schema of a resource's whole objects, with that of metadata, which is the same for all. */
export function mergeSchema(definition: ResourceDefinition): JsonSchema {
  const known = schemas.get(definition);
  if (known !== undefined) return known;
  const { schema = {} } = definition;
  const whole = { ...schema, properties: { ...objectAt(schema, "properties"), metadata: METADATA } };
  schemas.set(definition, whole);
  return whole;
}

import { isJsonObject, type JsonObject } from "../model/json.ts";

/** A copy with `changes` made; undefined takes a key out. */
export function withFields(object: JsonObject, changes: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries({ ...object, ...changes }).filter(([, value]) => value !== undefined));
}

/** Equality of JSON values; the order of keys does not count. */
export function sameJson(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    return (
      Array.isArray(right) && left.length === right.length && left.every((item, index) => sameJson(item, right[index]))
    );
  }
  if (!isJsonObject(left) || !isJsonObject(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && sameJson(left[key], right[key]))
  );
}

/**
 * What is unsafe to walk in a parsed document: nesting deeper than `limit`, or a key that would reach a prototype.
 * Undefined where nothing is.
 */
export function hazardOf(value: unknown, limit: number): string | undefined {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return `it is nested deeper than ${limit} levels`;
    const below: unknown[] = [];
    for (const item of level) {
      if (Array.isArray(item)) {
        for (const element of item) below.push(element);
      } else if (isJsonObject(item)) {
        for (const [key, field] of Object.entries(item)) {
          if (key === "__proto__") return "it has a field named __proto__";
          below.push(field);
        }
      }
    }
    level = below;
  }
  return undefined;
}

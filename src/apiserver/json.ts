import { isJsonObject, type JsonObject } from "../model/json.ts";

/** A copy with `changes` made; undefined takes a key out. */
export function withFields(object: JsonObject, changes: JsonObject): JsonObject {
  const changed: Record<string, unknown> = {};
  for (const key of Object.keys(object)) {
    const value = Object.hasOwn(changes, key) ? changes[key] : object[key];
    if (value !== undefined) changed[key] = value;
  }
  for (const key of Object.keys(changes)) {
    if (changes[key] !== undefined && !Object.hasOwn(object, key)) changed[key] = changes[key];
  }
  return changed;
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

/** What a walk over a parsed document told. */
export interface JsonSurvey {
  /** How many fields its objects have. */
  readonly fields: number;
  /** How many fields its objects and elements its lists have. */
  readonly values: number;
  /** True where a whole number is so large that the text may have said another one. */
  readonly rounds: boolean;
  /** Why it cannot be taken: nesting deeper than the limit, a key that would reach a prototype, a number that JSON has not. */
  readonly hazard?: string;
}

/** Walks a parsed document, no deeper than `limit` levels. */
export function surveyJson(value: unknown, limit: number): JsonSurvey {
  let fields = 0;
  let elements = 0;
  let rounds = false;
  const survey = (hazard?: string): JsonSurvey => ({
    fields,
    values: fields + elements,
    rounds,
    ...(hazard === undefined ? {} : { hazard }),
  });
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > limit) return survey(`it is nested deeper than ${limit} levels`);
    const below: unknown[] = [];
    for (const item of level) {
      if (Array.isArray(item)) {
        for (const element of item) below.push(element);
        elements += item.length;
      } else if (typeof item === "number") {
        if (!Number.isFinite(item)) return survey("it has a number that is too large, or none");
        rounds ||= Number.isInteger(item) && !Number.isSafeInteger(item);
      } else if (isJsonObject(item)) {
        for (const [key, field] of Object.entries(item)) {
          if (key === "__proto__") return survey("it has a field named __proto__");
          fields += 1;
          below.push(field);
        }
      }
    }
    level = below;
  }
  return survey();
}

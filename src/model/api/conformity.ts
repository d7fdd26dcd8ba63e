import { isJsonObject } from "../json.ts";
import { conform } from "./conform.ts";
import { checkConstraints } from "./constraints.ts";
import { isOfFormat } from "./formats.ts";
import { compilePattern } from "./patterns.ts";
import type { JsonSchema } from "./resource.ts";
import { checkShape, EMBEDDED_FIELDS } from "./shape.ts";
import { isIntOrStringBranch } from "./structural.ts";

/**
 * True where nothing is to be said of a value and nothing to be done to it: `checkShape` and `checkConstraints` find
 * nothing, and `conform` gives it back as it is. Nearly all that is written is so, and this tells it in a fraction of the
 * time; of any other value those three say what is wrong, or mend it.
 *
 * A schema is read once, and kept as functions by its identity.
 */
export function conforms(schema: JsonSchema, value: unknown, lists: "distinct" | "any" = "distinct"): boolean {
  const known = compiled[lists].get(schema);
  if (known !== undefined) return known(value);
  const takes = compile(schema, lists);
  compiled[lists].set(schema, takes);
  return takes(value);
}

type Takes = (value: unknown) => boolean;
type Lists = "distinct" | "any";

const compiled: Readonly<Record<Lists, WeakMap<JsonSchema, Takes>>> = { distinct: new WeakMap(), any: new WeakMap() };

/** Words that say something of values of several types, or that few schemas have: those that are asked say it. */
const LOGIC = ["allOf", "anyOf", "oneOf", "not"];
const OF_TEXT = ["pattern", "format", "minLength", "maxLength"];
const OF_NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const OF_LISTS = ["items", "minItems", "maxItems", "uniqueItems"];
const OF_OBJECTS = ["properties", "additionalProperties", "minProperties", "maxProperties"];

function compile(schema: JsonSchema, lists: Lists): Takes {
  const takes = compileType(schema, lists);
  return schema["nullable"] === true ? (value) => value === null || takes(value) : takes;
}

function compileType(schema: JsonSchema, lists: Lists): Takes {
  if (schema["x-kubernetes-int-or-string"] === true) return compileIntOrString(schema, lists);
  if (has(schema, LOGIC)) return interpreted(schema, lists);
  switch (schema["type"]) {
    case "object":
      return compileObject(schema, lists);
    case "array":
      return compileList(schema, lists);
    case "string":
      return compileText(schema, lists);
    case "boolean":
      return schema["enum"] === undefined ? (value) => typeof value === "boolean" : interpreted(schema, lists);
    case "integer":
    case "number":
      return compileNumber(schema, lists);
    case undefined:
      return has(schema, [...OF_TEXT, ...OF_NUMBERS, ...OF_LISTS, ...OF_OBJECTS])
        ? interpreted(schema, lists)
        : () => true;
    default:
      return interpreted(schema, lists);
  }
}

/** By those whom this stands for. */
function interpreted(schema: JsonSchema, lists: Lists): Takes {
  return (value) =>
    checkShape(schema, value).length === 0 &&
    checkConstraints(schema, value, lists).length === 0 &&
    conform(schema, value) === value;
}

function has(schema: JsonSchema, words: readonly string[]): boolean {
  return words.some((word) => schema[word] !== undefined);
}

function compileObject(schema: JsonSchema, lists: Lists): Takes {
  const { properties = {}, additionalProperties: others, required = [] } = schema;
  if (has(schema, ["minProperties", "maxProperties"]) || !isJsonObject(properties) || !Array.isArray(required)) {
    return interpreted(schema, lists);
  }
  const fields = new Map<string, Takes>();
  const present: string[] = required.filter((name) => typeof name === "string");
  for (const [name, field] of Object.entries(properties)) {
    if (!isJsonObject(field)) return interpreted(schema, lists);
    fields.set(name, compile(field, lists));
    // One that is absent would get its default.
    if (field["default"] !== undefined) present.push(name);
  }
  const other = compileOthers(schema, others, lists);
  return (value) => {
    if (!isJsonObject(value)) return false;
    for (const key of Object.keys(value)) {
      const takes = fields.get(key);
      if (takes === undefined ? !other(value[key], key) : !takes(value[key])) return false;
    }
    for (const name of present) if (!Object.hasOwn(value, name)) return false;
    return true;
  };
}

/** What is asked of the fields that an object's schema does not name. */
function compileOthers(schema: JsonSchema, others: unknown, lists: Lists): (value: unknown, key: string) => boolean {
  if (isJsonObject(others)) return compile(others, lists);
  if (schema["x-kubernetes-preserve-unknown-fields"] === true || others === true) return () => true;
  return schema["x-kubernetes-embedded-resource"] === true ? (_, key) => EMBEDDED_FIELDS.includes(key) : () => false;
}

function compileList(schema: JsonSchema, lists: Lists): Takes {
  const { items } = schema;
  const listType = schema["x-kubernetes-list-type"];
  const differ = schema["uniqueItems"] === true || (lists === "distinct" && (listType === "set" || listType === "map"));
  if (differ || has(schema, ["minItems", "maxItems"]) || (items !== undefined && !isJsonObject(items))) {
    return interpreted(schema, lists);
  }
  if (items === undefined) return Array.isArray;
  const takes = compile(items, lists);
  return (value) => {
    if (!Array.isArray(value)) return false;
    for (const item of value) if (!takes(item)) return false;
    return true;
  };
}

function compileText(schema: JsonSchema, lists: Lists): Takes {
  const { enum: words, format } = schema;
  if (has(schema, ["pattern", "minLength", "maxLength"])) return interpreted(schema, lists);
  const isTaken: (text: string) => boolean =
    typeof format === "string" ? (text) => isOfFormat(format, text) : () => true;
  if (!Array.isArray(words)) return (value) => typeof value === "string" && isTaken(value);
  const known = new Set<unknown>(words);
  return (value) => typeof value === "string" && known.has(value) && isTaken(value);
}

function compileNumber(schema: JsonSchema, lists: Lists): Takes {
  const { type, format, minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = schema;
  if (has(schema, ["enum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])) return interpreted(schema, lists);
  if (typeof minimum !== "number" || typeof maximum !== "number") return interpreted(schema, lists);
  if (type === "number") return (value) => typeof value === "number" && value >= minimum && value <= maximum;
  const [least, most] =
    format === "int32"
      ? [Math.max(minimum, -(2 ** 31)), Math.min(maximum, 2 ** 31 - 1)]
      : [Math.max(minimum, Number.MIN_SAFE_INTEGER), Math.min(maximum, Number.MAX_SAFE_INTEGER)];
  return (value) => typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
}

function compileIntOrString(schema: JsonSchema, lists: Lists): Takes {
  const { pattern, anyOf, maxLength = Number.POSITIVE_INFINITY } = schema;
  const plain = !has(schema, ["format", "minLength", "allOf", "oneOf", "not", ...OF_NUMBERS]);
  if (!plain || (anyOf !== undefined && !isIntOrStringBranch(schema))) return interpreted(schema, lists);
  if (typeof maxLength !== "number") return interpreted(schema, lists);
  const expression = typeof pattern === "string" ? compilePattern(pattern) : undefined;
  // A text has no more characters than units.
  return (value) =>
    typeof value === "string"
      ? value.length <= maxLength && (expression?.test(value) ?? true)
      : Number.isSafeInteger(value);
}

import { isJsonObject, type JsonObject } from "../json.ts";
import { canonicalJson } from "./canonical-json.ts";
import { type FieldPath, fieldPath } from "./field-path.ts";
import { isOfFormat } from "./formats.ts";
import { compilePattern } from "./patterns.ts";
import type { JsonSchema } from "./resource.ts";
import { checkShape, type ShapeProblem } from "./shape.ts";

const MOST_PROBLEMS = 100;

/**
 * What a schema's value validations refuse in a value whose shape is right: lengths, counts, patterns, formats, bounds,
 * multiples, uniqueness, list types, and allOf, anyOf, oneOf and not. Together with {@link checkShape} it is all that
 * Kubernetes checks of a custom resource by its schema, CEL rules apart. Of its own kinds it does not check that the
 * elements of lists differ as their list type says: `lists` tells which it is. Never throws.
 */
export function checkConstraints(
  schema: JsonSchema,
  value: unknown,
  lists: "distinct" | "any" = "distinct",
): ShapeProblem[] {
  const problems: ShapeProblem[] = [];
  visit(schema, value, [], { problems, lists });
  return problems;
}

interface Visit {
  readonly problems: ShapeProblem[];
  readonly lists: "distinct" | "any";
}

/** True when the schema takes the value in every respect. */
export function satisfies(schema: JsonSchema, value: unknown): boolean {
  return checkShape(schema, value).length === 0 && checkConstraints(schema, value).length === 0;
}

function visit(schema: JsonSchema, value: unknown, at: FieldPath, search: Visit): void {
  const { problems, lists } = search;
  if (problems.length >= MOST_PROBLEMS || (value === null && schema["nullable"] === true)) return;
  const wrong = (expected: string, found: string) => {
    problems.push({ path: fieldPath(at), at, kind: "value", expected, found });
  };
  if (typeof value === "string") checkText(schema, value, wrong);
  else if (typeof value === "number") checkNumber(schema, value, wrong);
  else if (Array.isArray(value)) checkList(schema, value, wrong, lists);
  else if (isJsonObject(value)) checkCount(schema, "Properties", Object.keys(value).length, "fields", wrong);
  checkLogic(schema, value, wrong);
  below(schema, value, (part, key, inside) => visit(part, inside, [...at, key], search));
}

type Wrong = (expected: string, found: string) => void;

function checkText(schema: JsonSchema, value: string, wrong: Wrong): void {
  const { pattern, format } = schema;
  checkCount(schema, "Length", [...value].length, "characters", wrong);
  const shown = `the text ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`;
  // Those of texts beside numbers belong to the shape.
  if (typeof pattern === "string" && schema["x-kubernetes-int-or-string"] !== true && !matches(pattern, value)) {
    wrong(`text that matches ${pattern}`, shown);
  }
  if (typeof format === "string" && !isOfFormat(format, value)) wrong(`text of the format ${format}`, shown);
}

function checkNumber(schema: JsonSchema, value: number, wrong: Wrong): void {
  const { minimum, maximum, multipleOf } = schema;
  const found = `the number ${value}`;
  if (schema["exclusiveMinimum"] === true && value === minimum) wrong(`a number above ${minimum}`, found);
  if (schema["exclusiveMaximum"] === true && value === maximum) wrong(`a number below ${maximum}`, found);
  if (typeof multipleOf === "number" && multipleOf > 0) {
    const times = value / multipleOf;
    if (Math.abs(times - Math.round(times)) > 1e-9 * Math.max(1, Math.abs(times))) {
      wrong(`a multiple of ${multipleOf}`, found);
    }
  }
}

function checkList(
  schema: JsonSchema,
  value: readonly unknown[],
  wrong: Wrong,
  lists: Visit["lists"] = "distinct",
): void {
  checkCount(schema, "Items", value.length, "elements", wrong);
  const listType = lists === "distinct" ? schema["x-kubernetes-list-type"] : undefined;
  const keys = schema["x-kubernetes-list-map-keys"];
  if (schema["uniqueItems"] !== true && listType !== "set" && listType !== "map") return;
  const { items } = schema;
  const defaults = isJsonObject(items) ? propertiesOf(items) : {};
  const identity = (item: unknown): unknown =>
    listType === "map" && Array.isArray(keys) && isJsonObject(item)
      ? keys.map((key) => item[String(key)] ?? defaults[String(key)]?.["default"] ?? null)
      : item;
  const seen = new Set<string>();
  for (const item of value) {
    const text = canonicalJson(identity(item));
    if (seen.has(text)) {
      const by = listType === "map" && Array.isArray(keys) ? ` by ${keys.join(", ")}` : "";
      wrong(`elements that differ${by}`, `${text} twice`);
    }
    seen.add(text);
  }
}

function checkCount(
  schema: JsonSchema,
  what: "Length" | "Items" | "Properties",
  count: number,
  unit: string,
  wrong: Wrong,
) {
  const [least, most] = [schema[`min${what}`], schema[`max${what}`]];
  if (typeof least === "number" && count < least) wrong(`at least ${least} ${unit}`, `${count}`);
  if (typeof most === "number" && count > most) wrong(`at most ${most} ${unit}`, `${count}`);
}

function checkLogic(schema: JsonSchema, value: unknown, wrong: Wrong): void {
  const { not } = schema;
  const takers = (key: string) => schemasAt(schema, key).map((part) => takes(part, value));
  const all = takers("allOf");
  const any = takers("anyOf");
  const one = takers("oneOf").filter((taken) => taken).length;
  if (all.includes(false)) wrong("a value that all of the schema's allOf take", "one that they do not");
  if (any.length > 0 && !any.includes(true))
    wrong("a value that one of the schema's anyOf takes", "one that none takes");
  if (schemasAt(schema, "oneOf").length > 0 && one !== 1) {
    wrong(
      "a value that exactly one of the schema's oneOf takes",
      one === 0 ? "one that none takes" : `one that ${one} take`,
    );
  }
  if (isJsonObject(not) && takes(not, value)) wrong("a value that the schema's not refuses", "one that it takes");
}

/** Whether a schema below allOf, anyOf, oneOf or not takes a value: it need not name all fields, nor their types. */
function takes(schema: JsonSchema, value: unknown): boolean {
  const { type, enum: words, minimum, maximum, required } = schema;
  if (type !== undefined && !isOfType(type, value)) return false;
  if (Array.isArray(words) && !words.some((word) => canonicalJson(word) === canonicalJson(value))) return false;
  if (typeof value === "number") {
    if (typeof minimum === "number" && value < minimum) return false;
    if (typeof maximum === "number" && value > maximum) return false;
  }
  if (isJsonObject(value) && Array.isArray(required) && required.some((name) => !Object.hasOwn(value, String(name)))) {
    return false;
  }
  let taken = true;
  const refuse = () => {
    taken = false;
  };
  if (typeof value === "string") checkText(schema, value, refuse);
  else if (typeof value === "number") checkNumber(schema, value, refuse);
  else if (Array.isArray(value)) checkList(schema, value, refuse);
  else if (isJsonObject(value)) checkCount(schema, "Properties", Object.keys(value).length, "fields", refuse);
  checkLogic(schema, value, refuse);
  below(schema, value, (part, _key, inside) => {
    taken &&= takes(part, inside);
  });
  return taken;
}

function isOfType(type: unknown, value: unknown): boolean {
  switch (type) {
    case "object":
      return isJsonObject(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** Each value inside `value` with the schema that is for it. */
function below(
  schema: JsonSchema,
  value: unknown,
  each: (schema: JsonSchema, key: string | number, value: unknown) => void,
): void {
  const { items, additionalProperties } = schema;
  if (Array.isArray(value)) {
    if (isJsonObject(items)) for (const [index, item] of value.entries()) each(items, index, item);
  } else if (isJsonObject(value)) {
    const properties = propertiesOf(schema);
    for (const [key, field] of Object.entries(value)) {
      const known = Object.hasOwn(properties, key) ? properties[key] : additionalProperties;
      if (isJsonObject(known)) each(known, key, field);
    }
  }
}

function schemasAt(schema: JsonSchema, key: string): readonly JsonObject[] {
  const value = schema[key];
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function propertiesOf({ properties }: JsonSchema): Readonly<Record<string, JsonObject>> {
  return isJsonObject(properties) ? (properties as Readonly<Record<string, JsonObject>>) : {};
}

function matches(pattern: string, value: string): boolean {
  return compilePattern(pattern)?.test(value) ?? true;
}

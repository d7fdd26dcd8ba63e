import { isJsonObject } from "../json.ts";
import { nearMiss } from "../near-miss.ts";
import { type FieldPath, fieldPath } from "./field-path.ts";
import { compilePattern } from "./patterns.ts";
import type { JsonSchema } from "./resource.ts";

/** Something in a value that its schema does not take. */
export interface ShapeProblem {
  /** `spec.domain.devices.interfaces[0].masquerade`; empty for the value as a whole. */
  readonly path: string;
  /** The same place as keys and indexes. */
  readonly at: FieldPath;
  readonly kind: "unknown" | "type" | "missing" | "value";
  /** What would be taken, as a phrase: `a whole number`. */
  readonly expected: string;
  /** What is there, as a phrase: `text`. */
  readonly found: string;
  /** Where one is likely: `did you mean "masquerade"?` */
  readonly hint?: string;
  /** JSON type of a field that is missing, where it has one. */
  readonly type?: string;
}

/** More problems than this help nobody. */
const MOST_PROBLEMS = 100;
/** What an object inside another one may have beside what its schema names. */
export const EMBEDDED_FIELDS: readonly string[] = ["apiVersion", "kind", "metadata"];

/**
 * Everything in `value` that `schema` does not take; empty when all is well. Never throws.
 *
 * Reads the structural subset: type, properties, required, additionalProperties, items, enum, minimum, maximum, format,
 * pattern of quantities, nullable, x-kubernetes-int-or-string, x-kubernetes-preserve-unknown-fields,
 * x-kubernetes-embedded-resource. It goes no deeper than the schema does, and stops after 100 problems.
 */
export function checkShape(schema: JsonSchema, value: unknown): ShapeProblem[] {
  const problems: ShapeProblem[] = [];
  check({ root: schema, problems }, schema, value, []);
  return problems;
}

/** What an amount is, as a phrase. */
export const QUANTITY = "a quantity such as 64Mi or 500m";

interface Search {
  readonly root: JsonSchema;
  readonly problems: ShapeProblem[];
}

function check(search: Search, schema: JsonSchema, value: unknown, at: FieldPath): void {
  if (search.problems.length >= MOST_PROBLEMS) return;
  if (value === null && schema["nullable"] === true) return;
  if (schema["x-kubernetes-int-or-string"] === true) checkIntOrString(search, schema, value, at);
  else if (schema["type"] === "object") checkObject(search, schema, value, at);
  else if (schema["type"] === "array") checkList(search, schema, value, at);
  else if (schema["type"] !== undefined) checkScalar(search, schema, value, at);
}

function checkObject(search: Search, schema: JsonSchema, value: unknown, at: FieldPath): void {
  if (!isJsonObject(value)) {
    report(search, at, "type", "an object", value);
    return;
  }
  const properties = propertiesOf(schema);
  const others = schema["additionalProperties"];
  const open = schema["x-kubernetes-preserve-unknown-fields"] === true || others === true;
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  for (const [key, field] of Object.entries(value)) {
    const known = Object.hasOwn(properties, key) ? properties[key] : isSchema(others) ? others : undefined;
    if (known !== undefined) check(search, known, field, [...at, key]);
    else if (!open && !(embedded && EMBEDDED_FIELDS.includes(key))) reportUnknown(search, schema, [...at, key], key);
  }
  for (const name of wordsOf(schema["required"])) {
    if (!Object.hasOwn(value, name)) {
      const missing = properties[name] ?? {};
      report(search, [...at, name], "missing", phrase(missing), undefined, undefined, missing["type"]);
    }
  }
}

function checkList(search: Search, schema: JsonSchema, value: unknown, at: FieldPath): void {
  if (!Array.isArray(value)) {
    report(search, at, "type", "a list", value);
    return;
  }
  const items = schema["items"];
  if (!isSchema(items)) return;
  for (const [index, item] of value.entries()) {
    if (search.problems.length >= MOST_PROBLEMS) return;
    check(search, items, item, [...at, index]);
  }
}

function checkScalar(search: Search, schema: JsonSchema, value: unknown, at: FieldPath): void {
  const expected = phrase(bounded(schema, value));
  const words = schema["enum"];
  if (!hasType(schema["type"], value)) {
    report(search, at, "type", expected, value);
  } else if (Array.isArray(words) && !words.includes(value)) {
    const near = typeof value === "string" ? nearMiss(value, wordsOf(words)) : undefined;
    report(search, at, "value", expected, value, near);
  } else if (typeof value === "number" && !inRange(schema, value)) {
    report(search, at, "value", expected, value);
  }
}

function checkIntOrString(search: Search, schema: JsonSchema, value: unknown, at: FieldPath): void {
  const expected = phrase(bounded(schema, value));
  const pattern = schema["pattern"];
  if (typeof value !== "string" && !Number.isSafeInteger(value)) {
    report(search, at, "type", expected, value);
  } else if (
    typeof value === "string" &&
    typeof pattern === "string" &&
    compilePattern(pattern)?.test(value) === false
  ) {
    report(search, at, "value", expected, value);
  } else if (typeof value === "number" && !inRange(schema, value)) {
    report(search, at, "value", `a whole number${range(schema)}, or text`, value);
  }
}

function hasType(type: unknown, value: unknown): boolean {
  switch (type) {
    case "string":
    case "boolean":
      return typeof value === type;
    case "integer":
      return Number.isInteger(value);
    case "number":
      return typeof value === "number";
    default:
      return true;
  }
}

/** The schema with the bounds of its format too, where a whole number is outside of those alone. */
function bounded(schema: JsonSchema, value: unknown): JsonSchema {
  if (schema["type"] !== "integer" || typeof value !== "number" || !Number.isInteger(value)) return schema;
  const most = schema["format"] === "int32" ? 2 ** 31 - 1 : Number.MAX_SAFE_INTEGER;
  const least = schema["format"] === "int32" ? -(2 ** 31) : -Number.MAX_SAFE_INTEGER;
  const { minimum, maximum } = schema;
  return {
    ...schema,
    ...(value > most && typeof maximum !== "number" ? { maximum: most } : {}),
    ...(value < least && typeof minimum !== "number" ? { minimum: least } : {}),
  };
}

function inRange(schema: JsonSchema, value: number): boolean {
  const { minimum, maximum, format } = schema;
  if (typeof minimum === "number" && value < minimum) return false;
  if (typeof maximum === "number" && value > maximum) return false;
  if (schema["type"] === "number") return true;
  if (format === "int32") return value === (value | 0);
  return Number.isSafeInteger(value);
}

/** What a schema takes, in words. */
function phrase(schema: JsonSchema): string {
  if (schema["x-kubernetes-int-or-string"] === true) {
    return schema["pattern"] === undefined ? "a whole number or text" : QUANTITY;
  }
  const words = schema["enum"];
  if (Array.isArray(words)) {
    return `one of ${wordsOf(words)
      .filter((word) => word !== "")
      .join(", ")}`;
  }
  switch (schema["type"]) {
    case "object":
      return "an object";
    case "array":
      return "a list";
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    case "integer":
      return `a whole number${range(schema)}`;
    case "number":
      return `a number${range(schema)}`;
    default:
      return "a value";
  }
}

function range({ minimum, maximum }: JsonSchema): string {
  const from = typeof minimum === "number" ? ` from ${minimum}` : "";
  return typeof maximum === "number" ? `${from}${from === "" ? " up" : ""} to ${maximum}` : from;
}

/** What a value is, in words; long text is cut. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "string") return `the text "${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`;
  return typeof value === "number" ? `the number ${value}` : String(value);
}

function report(
  search: Search,
  at: FieldPath,
  kind: ShapeProblem["kind"],
  expected: string,
  value: unknown,
  near?: string,
  type?: unknown,
): void {
  if (search.problems.length >= MOST_PROBLEMS) return;
  const hint = near === undefined ? {} : { hint: `did you mean "${near}"?` };
  const typed = typeof type === "string" ? { type } : {};
  search.problems.push({ path: fieldPath(at), at, kind, expected, found: describe(value), ...hint, ...typed });
}

function reportUnknown(search: Search, schema: JsonSchema, at: FieldPath, key: string): void {
  if (search.problems.length >= MOST_PROBLEMS) return;
  const siblings = Object.keys(propertiesOf(schema));
  const near = nearMiss(key, siblings);
  const elsewhere = near === undefined ? placeOf(search.root, schema, at, key) : undefined;
  const hint =
    near !== undefined
      ? { hint: `did you mean "${near}"?` }
      : elsewhere !== undefined
        ? { hint: `"${key}" belongs at ${elsewhere}` }
        : {};
  const expected = siblings.length === 0 ? "an empty object" : `one of ${siblings.toSorted().join(", ")}`;
  search.problems.push({ path: fieldPath(at), at, kind: "unknown", expected, found: `the field "${key}"`, ...hint });
}

/** Where else a field of that name is known: below its own object first, then anywhere; undefined where that is not one place. */
function placeOf(root: JsonSchema, own: JsonSchema, at: FieldPath, key: string): string | undefined {
  for (const { schema, base } of [
    { schema: own, base: fieldPath(at.slice(0, -1)) },
    { schema: root, base: "" },
  ]) {
    const places = placesOf(schema, base, key);
    if (places.length === 1) return places[0];
  }
  return undefined;
}

function placesOf(schema: JsonSchema, base: string, key: string): string[] {
  const found: string[] = [];
  const open: { readonly schema: JsonSchema; readonly path: string }[] = [{ schema, path: base }];
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    for (const [name, field] of Object.entries(propertiesOf(next.schema))) {
      const path = next.path === "" ? name : `${next.path}.${name}`;
      if (path === "metadata" || path === "status") continue;
      if (name === key) found.push(path);
      const items = field["items"];
      open.push(isSchema(items) ? { schema: items, path: `${path}[]` } : { schema: field, path });
    }
  }
  return found;
}

function propertiesOf(schema: JsonSchema): Readonly<Record<string, JsonSchema>> {
  const properties = schema["properties"];
  return isJsonObject(properties) ? (properties as Readonly<Record<string, JsonSchema>>) : {};
}

function wordsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((word): word is string => typeof word === "string") : [];
}

function isSchema(value: unknown): value is JsonSchema {
  return isJsonObject(value);
}

import { isJsonObject, type JsonObject } from "../json.ts";
import { nearMiss } from "../near-miss.ts";
import type { StatusCause } from "./admission.ts";
import { conform } from "./conform.ts";
import { satisfies } from "./constraints.ts";
import { compilePattern } from "./patterns.ts";
import { checkShape } from "./shape.ts";

const TYPES = ["array", "boolean", "integer", "number", "object", "string"];
const VALIDATIONS = [
  "enum",
  "exclusiveMaximum",
  "exclusiveMinimum",
  "format",
  "maxItems",
  "maxLength",
  "maxProperties",
  "maximum",
  "minItems",
  "minLength",
  "minProperties",
  "minimum",
  "multipleOf",
  "pattern",
  "required",
  "uniqueItems",
];
const LOGIC = ["allOf", "anyOf", "oneOf"];
const STRUCTURE = [
  "additionalProperties",
  "default",
  "description",
  "items",
  "nullable",
  "properties",
  "title",
  "type",
];
const KNOWN = [...VALIDATIONS, ...LOGIC, "not", ...STRUCTURE, "example", "externalDocs"];
/** Words of JSON Schema that Kubernetes has left out of its schemas. */
const LEFT_OUT = ["$ref", "$schema", "additionalItems", "definitions", "dependencies", "id", "patternProperties"];
const METADATA_FIELDS = ["name", "generateName"];
const COUNTS = ["maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"];
const NUMBERS = ["maximum", "minimum", "multipleOf"];

/** What keeps a schema from being one of a CustomResourceDefinition: causes of a refusal, with their places below `place`. */
export function structuralProblems(schema: unknown, place: string): StatusCause[] {
  const causes: StatusCause[] = [];
  visit(schema, place, { depth: 0, causes });
  return causes;
}

/** The places of CEL rules (`x-kubernetes-validations`) in a schema. */
export function placesOfRules(schema: unknown, place: string): string[] {
  if (Array.isArray(schema)) return schema.flatMap((item, index) => placesOfRules(item, `${place}[${index}]`));
  if (!isJsonObject(schema)) return [];
  return Object.entries(schema).flatMap(([key, value]) =>
    key === "x-kubernetes-validations" ? [place] : placesOfRules(value, `${place}.${key}`),
  );
}

interface Visit {
  readonly depth: number;
  readonly causes: StatusCause[];
}

function visit(schema: unknown, place: string, { depth, causes }: Visit): void {
  const { invalid, required, forbidden, unsupported } = reporters(causes);
  if (!isJsonObject(schema)) {
    invalid(place, schema, "a schema is an object");
    return;
  }
  const { type, properties, items, additionalProperties } = schema;
  const open = schema["x-kubernetes-preserve-unknown-fields"];
  const intOrString = schema["x-kubernetes-int-or-string"] === true;
  checkWords(schema, place, causes);
  if (intOrString) {
    if (type !== undefined) forbidden(`${place}.type`, "must be empty if x-kubernetes-int-or-string is true");
  } else if (type === undefined) {
    if (open !== true) required(`${place}.type`, "must not be empty for specified object fields");
  } else if (typeof type !== "string" || !TYPES.includes(type)) {
    unsupported(`${place}.type`, type, TYPES);
  }
  if (depth === 0 && type !== "object") invalid(`${place}.type`, type ?? "", "must be object at the root");
  if (open !== undefined && open !== true) {
    invalid(`${place}.x-kubernetes-preserve-unknown-fields`, open, "must be true or undefined");
  }
  if (schema["x-kubernetes-embedded-resource"] === true && type !== "object") {
    invalid(`${place}.type`, type ?? "", "must be object if x-kubernetes-embedded-resource is true");
  }
  if (schema["uniqueItems"] === true) {
    forbidden(
      `${place}.uniqueItems`,
      "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
    );
  }
  if (additionalProperties === false) {
    forbidden(`${place}.additionalProperties`, "additionalProperties cannot be set to false");
  }
  if (additionalProperties !== undefined && properties !== undefined) {
    forbidden(`${place}.additionalProperties`, "additionalProperties and properties are mutual exclusive");
  }
  if (type === "array" && items === undefined) required(`${place}.items`, "must be specified for an array");
  if (isJsonObject(properties)) {
    for (const [name, field] of Object.entries(properties)) {
      const below = `${place}.properties[${name}]`;
      if (depth === 0 && name === "metadata") checkMetadata(field, below, causes);
      else visit(field, below, { depth: depth + 1, causes });
    }
  } else if (properties !== undefined) {
    invalid(`${place}.properties`, properties, "must be an object of schemas");
  }
  if (Array.isArray(items)) forbidden(`${place}.items`, "items must be a schema object and not an array");
  else if (items !== undefined) visit(items, `${place}.items`, { depth: depth + 1, causes });
  if (isJsonObject(additionalProperties)) {
    visit(additionalProperties, `${place}.additionalProperties`, { depth: depth + 1, causes });
  }
  checkListType(schema, place, causes);
  const isExempt = (branch: JsonObject) => intOrString && isIntOrStringBranch(branch);
  for (const key of LOGIC) {
    const branches = schema[key];
    if (branches === undefined) continue;
    if (!Array.isArray(branches)) invalid(`${place}.${key}`, branches, "must be a list of schemas");
    else
      for (const [index, branch] of branches.entries()) {
        if (!isExempt({ [key]: branches }) && !(isJsonObject(branch) && isExempt(branch))) {
          visitBranch(branch, schema, `${place}.${key}[${index}]`, causes);
        }
      }
  }
  if (schema["not"] !== undefined) visitBranch(schema["not"], schema, `${place}.not`, causes);
  // A default can be judged only by a schema that is right itself.
  if (schema["default"] !== undefined && causes.length === 0) checkDefault(schema, place, causes);
}

/** `anyOf: [{type: integer}, {type: string}]`, which Kubernetes lets stand beside x-kubernetes-int-or-string. */
export function isIntOrStringBranch({ anyOf }: JsonObject): boolean {
  return Array.isArray(anyOf) && JSON.stringify(anyOf) === '[{"type":"integer"},{"type":"string"}]';
}

/** A schema below allOf, anyOf, oneOf or not: it may narrow what stands outside, and name nothing new. */
function visitBranch(branch: unknown, outside: unknown, place: string, causes: StatusCause[]): void {
  const { invalid, required, forbidden } = reporters(causes);
  if (!isJsonObject(branch)) {
    invalid(place, branch, "a schema is an object");
    return;
  }
  checkWords(branch, place, causes);
  for (const key of ["additionalProperties", "default", "description", "nullable", "title", "type"]) {
    if (branch[key] !== undefined) forbidden(`${place}.${key}`, "must be undefined to be structural");
  }
  for (const key of Object.keys(branch)) {
    if (key.startsWith("x-kubernetes-")) forbidden(`${place}.${key}`, "must be undefined to be structural");
  }
  const counterpart = isJsonObject(outside) ? outside : {};
  const { properties, items } = branch;
  if (isJsonObject(properties)) {
    const known = isJsonObject(counterpart["properties"]) ? counterpart["properties"] : {};
    for (const [name, field] of Object.entries(properties)) {
      const other = Object.hasOwn(known, name) ? known[name] : counterpart["additionalProperties"];
      if (!isJsonObject(other))
        required(outsideOf(`${place}.properties[${name}]`), "because it is defined inside allOf, anyOf, oneOf or not");
      else visitBranch(field, other, `${place}.properties[${name}]`, causes);
    }
  }
  if (items !== undefined) {
    if (!isJsonObject(counterpart["items"]))
      required(outsideOf(`${place}.items`), "because it is defined inside allOf, anyOf, oneOf or not");
    else visitBranch(items, counterpart["items"], `${place}.items`, causes);
  }
  for (const key of LOGIC) {
    const branches = branch[key];
    if (Array.isArray(branches)) {
      for (const [index, each] of branches.entries()) visitBranch(each, outside, `${place}.${key}[${index}]`, causes);
    }
  }
  if (branch["not"] !== undefined) visitBranch(branch["not"], outside, `${place}.not`, causes);
}

/** The place at which the structure must say what a branch says. */
function outsideOf(place: string): string {
  return place.replace(/\.(?:(?:allOf|anyOf|oneOf)\[\d+\]|not)(?=\.|$)/g, "");
}

function checkWords(schema: JsonObject, place: string, causes: StatusCause[]): void {
  const { invalid, forbidden } = reporters(causes);
  for (const [key, value] of Object.entries(schema)) {
    if (LEFT_OUT.includes(key)) forbidden(`${place}.${key}`, "is not supported");
    else if (!KNOWN.includes(key) && !key.startsWith("x-")) {
      const near = nearMiss(key, KNOWN);
      invalid(place, key, `is no field of a schema${near === undefined ? "" : ` (did you mean "${near}"?)`}`);
    } else if (COUNTS.includes(key) && !(Number.isSafeInteger(value) && Number(value) >= 0)) {
      invalid(`${place}.${key}`, value, "must be a whole number from 0");
    } else if (NUMBERS.includes(key) && typeof value !== "number") {
      invalid(`${place}.${key}`, value, "must be a number");
    }
  }
  const { pattern, required, enum: words } = schema;
  if (pattern !== undefined && (typeof pattern !== "string" || compilePattern(pattern) === undefined)) {
    invalid(`${place}.pattern`, pattern, "must be a regular expression that can be read here (ECMAScript)");
  }
  if (required !== undefined && !(Array.isArray(required) && required.every((name) => typeof name === "string"))) {
    invalid(`${place}.required`, required, "must be a list of names");
  }
  if (words !== undefined && !Array.isArray(words)) invalid(`${place}.enum`, words, "must be a list of values");
}

function checkListType(schema: JsonObject, place: string, causes: StatusCause[]): void {
  const { invalid, required, unsupported } = reporters(causes);
  const listType = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"];
  const mapType = schema["x-kubernetes-map-type"];
  if (mapType !== undefined && mapType !== "granular" && mapType !== "atomic") {
    unsupported(`${place}.x-kubernetes-map-type`, mapType, ["atomic", "granular"]);
  }
  if (listType === undefined) return;
  if (listType !== "atomic" && listType !== "set" && listType !== "map") {
    unsupported(`${place}.x-kubernetes-list-type`, listType, ["atomic", "map", "set"]);
    return;
  }
  if (schema["type"] !== "array")
    invalid(`${place}.type`, schema["type"] ?? "", "must be array if x-kubernetes-list-type is set");
  if (listType !== "map") return;
  if (!Array.isArray(keys) || keys.length === 0) {
    required(`${place}.x-kubernetes-list-map-keys`, "must not be empty if x-kubernetes-list-type is map");
    return;
  }
  const items = isJsonObject(schema["items"]) ? schema["items"] : {};
  const known = isJsonObject(items["properties"]) ? items["properties"] : {};
  for (const key of keys) {
    if (!Object.hasOwn(known, String(key))) {
      invalid(`${place}.x-kubernetes-list-map-keys`, key, "entries must all be names of item properties");
    }
  }
}

function checkMetadata(schema: unknown, place: string, causes: StatusCause[]): void {
  const { invalid, forbidden } = reporters(causes);
  if (!isJsonObject(schema) || schema["type"] !== "object") {
    invalid(`${place}.type`, isJsonObject(schema) ? (schema["type"] ?? "") : schema, "must be object");
    return;
  }
  const properties = isJsonObject(schema["properties"]) ? schema["properties"] : {};
  for (const name of Object.keys(properties)) {
    if (!METADATA_FIELDS.includes(name))
      forbidden(`${place}.properties[${name}]`, "only metadata.name and metadata.generateName may be restricted");
  }
}

function checkDefault(schema: JsonObject, place: string, causes: StatusCause[]): void {
  const { default: value, ...rest } = schema;
  const { invalid } = reporters(causes);
  const isKnown = checkShape(rest, value).every(({ kind }) => kind !== "unknown");
  if (!isKnown || !satisfies(rest, conform(rest, value))) {
    invalid(`${place}.default`, value, "must be a value that the schema takes");
  }
}

function reporters(causes: StatusCause[]) {
  const shown = (value: unknown) => JSON.stringify(value) ?? "null";
  return {
    invalid: (field: string, value: unknown, why: string) =>
      causes.push({ reason: "FieldValueInvalid", field, message: `Invalid value: ${shown(value)}: ${why}` }),
    required: (field: string, why: string) =>
      causes.push({ reason: "FieldValueRequired", field, message: `Required value: ${why}` }),
    forbidden: (field: string, why: string) =>
      causes.push({ reason: "FieldValueForbidden", field, message: `Forbidden: ${why}` }),
    unsupported: (field: string, value: unknown, taken: readonly string[]) =>
      causes.push({
        reason: "FieldValueNotSupported",
        field,
        message: `Unsupported value: ${shown(value)}: supported values: ${taken.map((each) => `"${each}"`).join(", ")}`,
      }),
  };
}

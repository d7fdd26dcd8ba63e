import { isLabelKey, isLabelValue } from "../model/api/names.ts";
import type { JsonSchema, ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject, objectAt } from "../model/json.ts";
import { badRequest } from "./refusals.ts";

/** Judges a parsed object. */
export type Selector = (object: JsonObject) => boolean;

/** What a list or a watch is narrowed to. */
export interface Selection {
  /** Absent: everything matches. */
  readonly matches?: Selector;
  /** Set where the field selector asks for one name: at most one object a namespace can match. */
  readonly name?: string;
}

/**
 * Reads `labelSelector` and `fieldSelector` of a query. Any field that holds one value can be selected by; a misspelt one
 * must not look like one that nothing matches.
 *
 * @throws ApiError 400 with the part that cannot be read.
 */
export function readSelection(
  labelSelector: string | undefined,
  fieldSelector: string | undefined,
  definition: Pick<ResourceDefinition, "schema">,
): Selection {
  const labels = parseLabelSelector(labelSelector ?? "");
  const fields = parseFieldSelector(fieldSelector ?? "", definition.schema);
  const name = fields.find(({ path, equal }) => equal && path.length === 2 && path.join(".") === "metadata.name");
  if (labels.length === 0 && fields.length === 0) return {};
  return {
    matches: (object) => {
      const found = objectAt(objectAt(object, "metadata"), "labels");
      return labels.every((requirement) => requirement(found)) && fields.every((field) => matchesField(field, object));
    },
    ...(name === undefined ? {} : { name: name.value }),
  };
}

type Requirement = (labels: JsonObject) => boolean;

function parseLabelSelector(selector: string): Requirement[] {
  return splitOutsideParentheses(selector).map((part) => parseRequirement(part));
}

function parseRequirement(part: string): Requirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(part);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => checkedValue(value.trim(), part));
    checkKey(key, part);
    return operator === "in"
      ? (labels) => values.some((value) => labels[key] === value)
      : (labels) => !values.some((value) => labels[key] === value);
  }
  const comparison = /^([^=!<>\s]+)\s*(==|=|!=|<|>)\s*(\S*)$/.exec(part);
  if (comparison !== null) {
    const [, key = "", operator, text = ""] = comparison;
    checkKey(key, part);
    if (operator === "<" || operator === ">") {
      const bound = Number(text);
      if (!/^-?\d+$/.test(text)) throw unreadable("label", part, "an integer must follow < and >");
      return (labels) => {
        const value = labels[key];
        if (typeof value !== "string" || !/^-?\d+$/.test(value)) return false;
        return operator === "<" ? Number(value) < bound : Number(value) > bound;
      };
    }
    const value = checkedValue(text, part);
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const absent = part.startsWith("!");
  const key = (absent ? part.slice(1) : part).trim();
  checkKey(key, part);
  return (labels) => Object.hasOwn(labels, key) !== absent;
}

function checkKey(key: string, part: string): void {
  if (!isLabelKey(key)) throw unreadable("label", part, `"${key}" is no label key`);
}

function checkedValue(value: string, part: string): string {
  if (!isLabelValue(value)) throw unreadable("label", part, `"${value}" is no label value`);
  return value;
}

interface FieldRequirement {
  readonly path: readonly string[];
  /** What an object without the field counts as having. */
  readonly absent: string;
  readonly equal: boolean;
  readonly value: string;
}

function parseFieldSelector(selector: string, schema: JsonSchema | undefined): FieldRequirement[] {
  return splitUnescaped(selector).map((part) => {
    const match = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/s.exec(part);
    if (match === null) throw unreadable("field", part, "expected path=value or path!=value");
    const [, label = "", operator, value = ""] = match;
    const path = label.trim().split(".");
    const type = typeAt(schema, path);
    if (type === "none") throw unreadable("field", part, `field label not supported: ${label.trim()}`);
    return {
      path,
      absent: type === "boolean" ? "false" : "",
      equal: operator !== "!=",
      value: value.replace(/\\([\\,=])/g, "$1"),
    };
  });
}

/** What a field is by the schema; "none" for one that no object has, or that is no single value. */
function typeAt(schema: JsonSchema | undefined, path: readonly string[]): string | undefined {
  if (path.length === 2 && path[0] === "metadata") return SELECTABLE_METADATA.has(path[1] ?? "") ? "string" : "none";
  let at: unknown = schema;
  for (const step of path) {
    if (!isJsonObject(at)) return undefined;
    const { properties, additionalProperties } = at;
    const isOpen = at["x-kubernetes-preserve-unknown-fields"] === true;
    const next: unknown =
      isJsonObject(properties) && Object.hasOwn(properties, step) ? properties[step] : additionalProperties;
    if (next === undefined && !isOpen && at["type"] !== undefined) return "none";
    at = next;
  }
  const type = isJsonObject(at) ? at["type"] : undefined;
  return type === "object" || type === "array" ? "none" : typeof type === "string" ? type : undefined;
}

const SELECTABLE_METADATA = new Set(["name", "namespace", "uid", "resourceVersion", "generateName"]);

function matchesField({ path, absent, equal, value }: FieldRequirement, object: JsonObject): boolean {
  let at: unknown = object;
  for (const step of path) {
    at = typeof at === "object" && at !== null && Object.hasOwn(at, step) ? Reflect.get(at, step) : undefined;
  }
  const found = at === undefined || at === null ? absent : typeof at === "object" ? JSON.stringify(at) : String(at);
  return (found === value) === equal;
}

function splitOutsideParentheses(selector: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index <= selector.length; index += 1) {
    const character = selector[index];
    if (character === "(") depth += 1;
    if (character === ")") depth -= 1;
    if (character === undefined || (character === "," && depth === 0)) {
      parts.push(selector.slice(start, index).trim());
      start = index + 1;
    }
  }
  return nonEmpty(parts, selector);
}

function splitUnescaped(selector: string): string[] {
  return nonEmpty(
    selector.split(/(?<!\\),/).map((part) => part.trim()),
    selector,
  );
}

function nonEmpty(parts: string[], selector: string): string[] {
  if (selector.trim() === "") return [];
  return parts.filter((part) => part !== "");
}

function unreadable(which: "label" | "field", part: string, why: string) {
  return badRequest(`unable to parse ${which} selector "${part}": ${why}`);
}

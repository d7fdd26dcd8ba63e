import { ApiError, failure } from "../model/api/status.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { sameJson } from "./json.ts";
import { badRequest, tooLarge } from "./refusals.ts";

const LARGEST_PATCH = 10_000;
/** As kube-apiserver's limit; in characters of JSON. */
const MOST_COPIED = 3 * 1024 * 1024;

/**
 * Applies a JSON patch (RFC 6902).
 *
 * @throws ApiError 400 where the patch cannot be read, 413 where its copies are too many, 422 where it does not fit the
 * document.
 */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest("a JSON patch must be a list of operations");
  if (patch.length > LARGEST_PATCH) throw badRequest(`a JSON patch may have at most ${LARGEST_PATCH} operations`);
  let copied = 0;
  return patch.reduce((current: unknown, operation: unknown, index) => {
    if (!isJsonObject(operation)) throw badRequest(`operation ${index} of the JSON patch is no object`);
    // A few copies of what was copied before would be larger than any memory.
    if (operation["op"] === "copy") copied += copiedBy(current, operation, index);
    if (copied > MOST_COPIED) throw tooLarge(MOST_COPIED);
    return applyOperation(current, operation, index);
  }, document);
}

/** Applies a JSON merge patch (RFC 7386). */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch)) return patch;
  const merged = new Map<string, unknown>(isJsonObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, applyMergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

/** Size of what an operation copies. */
function copiedBy(document: unknown, operation: JsonObject, index: number): number {
  const place = `operation ${index} of the JSON patch`;
  return JSON.stringify(read(document, pointer(operation, "from", place), place)).length;
}

function applyOperation(document: unknown, operation: JsonObject, index: number): unknown {
  const place = `operation ${index} of the JSON patch`;
  const path = pointer(operation, "path", place);
  switch (operation["op"]) {
    case "add":
      return add(document, path, valueIn(operation, place), place);
    case "replace":
      return path.length === 0
        ? valueIn(operation, place)
        : edit(document, path, place, { kind: "replace", value: valueIn(operation, place) });
    case "remove":
      return edit(document, path, place, { kind: "remove" });
    case "move": {
      const from = pointer(operation, "from", place);
      const value = read(document, from, place);
      return add(edit(document, from, place, { kind: "remove" }), path, value, place);
    }
    case "copy":
      return add(document, path, read(document, pointer(operation, "from", place), place), place);
    case "test":
      if (!sameJson(read(document, path, place), valueIn(operation, place))) {
        throw unfit(`${place}: the test of ${textOf(path)} failed`);
      }
      return document;
    default:
      throw badRequest(`${place} has the unknown op ${JSON.stringify(operation["op"])}`);
  }
}

function add(document: unknown, path: readonly string[], value: unknown, place: string): unknown {
  return path.length === 0 ? value : edit(document, path, place, { kind: "add", value });
}

type Edit = { readonly kind: "add" | "replace"; readonly value: unknown } | { readonly kind: "remove" };

function edit(node: unknown, path: readonly string[], place: string, change: Edit): unknown {
  const [step, ...rest] = path;
  if (step === undefined) throw unfit(`${place}: the whole document cannot be removed`);
  if (Array.isArray(node)) {
    const appended = rest.length === 0 && change.kind === "add";
    const at = appended && step === "-" ? node.length : Number(step);
    const last = appended ? node.length : node.length - 1;
    if (!/^(?:0|[1-9]\d*|-)$/.test(step) || Number.isNaN(at) || at > last) {
      throw unfit(`${place}: there is no index ${step}`);
    }
    if (rest.length > 0) return node.with(at, edit(node[at], rest, place, change));
    if (change.kind === "add") return node.toSpliced(at, 0, change.value);
    return change.kind === "replace" ? node.with(at, change.value) : node.toSpliced(at, 1);
  }
  if (!isJsonObject(node)) throw unfit(`${place}: there is nothing at ${step}`);
  const fields = new Map(Object.entries(node));
  if (rest.length === 0 && change.kind === "add") return Object.fromEntries(fields.set(step, change.value));
  if (!fields.has(step)) throw unfit(`${place}: there is no field ${step}`);
  if (rest.length > 0) return Object.fromEntries(fields.set(step, edit(fields.get(step), rest, place, change)));
  if (change.kind === "remove") fields.delete(step);
  else fields.set(step, change.value);
  return Object.fromEntries(fields);
}

function read(document: unknown, path: readonly string[], place: string): unknown {
  let node = document;
  for (const step of path) {
    if (Array.isArray(node) && /^(?:0|[1-9]\d*)$/.test(step) && Number(step) < node.length) node = node[Number(step)];
    else if (isJsonObject(node) && Object.hasOwn(node, step)) node = node[step];
    else throw unfit(`${place}: there is nothing at ${textOf(path)}`);
  }
  return node;
}

/** RFC 6901. */
function pointer(operation: JsonObject, field: "path" | "from", place: string): string[] {
  const value = operation[field];
  if (value === "") return [];
  if (typeof value !== "string" || !value.startsWith("/")) {
    throw badRequest(`${place} needs a ${field} that is a JSON pointer`);
  }
  const steps = value
    .slice(1)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  if (steps.includes("__proto__")) throw badRequest(`${place} names __proto__`);
  return steps;
}

function valueIn(operation: JsonObject, place: string): unknown {
  if (!Object.hasOwn(operation, "value")) throw badRequest(`${place} needs a value`);
  return operation["value"];
}

function textOf(path: readonly string[]): string {
  return `/${path.join("/")}`;
}

function unfit(message: string): ApiError {
  return new ApiError("PB6010", failure(422, "Invalid", message, {}));
}

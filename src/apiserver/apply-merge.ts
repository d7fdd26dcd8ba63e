import type { StatusCause } from "../model/api/admission.ts";
import { type FieldPath, fieldPath } from "../model/api/field-path.ts";
import type { JsonSchema } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { type FieldSet, fieldStep, isMember, stepInto } from "./field-set.ts";
import { type Elements, elementsOf, schemaOfField, shapeOf } from "./merge-shape.ts";

/** `live` with what `config` says laid over it; what it does not speak of stays. */
export function mergeConfig(schema: JsonSchema | undefined, live: unknown, config: unknown): unknown {
  const [there, wanted] = [shapeOf(schema, live), shapeOf(schema, config)];
  if (there.kind === "fields" && wanted.kind === "fields") {
    const merged: Record<string, unknown> = { ...there.object };
    for (const [name, field] of Object.entries(wanted.object)) {
      const held = Object.hasOwn(there.object, name) ? there.object[name] : undefined;
      merged[name] = held === undefined ? field : mergeConfig(schemaOfField(schema, name), held, field);
    }
    return merged;
  }
  if (there.kind === "elements" && wanted.kind === "elements") return mergeElements(there.elements, wanted.elements);
  return config;
}

/**
 * The wanted elements in their order. Others keep their place before the next wanted one that they stood before; with
 * what is new, they come first.
 */
function mergeElements(there: Elements, wanted: Elements): unknown[] {
  const merged: unknown[] = [];
  const held = [...there.items];
  const places = new Map(held.map(([step], index) => [step, index]));
  const done = new Set<string>();
  let next = 0;
  const keepOthers = (stopsAt: (step: string) => boolean): void => {
    for (; next < held.length; next += 1) {
      const [step, item] = held[next] ?? ["", undefined];
      if (!wanted.items.has(step)) push(merged, there, step, item);
      else if (stopsAt(step)) return;
    }
  };
  for (const [step, item] of wanted.items) {
    const isAhead = (places.get(step) ?? -1) >= next;
    keepOthers(isAhead ? (each) => each === step : (each) => !done.has(each));
    const single = there.items.has(step) && !there.repeated.has(step) && !wanted.repeated.has(step);
    push(merged, wanted, step, single ? mergeConfig(wanted.schema, there.items.get(step), item) : item);
    done.add(step);
  }
  keepOthers(() => false);
  return merged;
}

function push(list: unknown[], elements: Elements, step: string, item: unknown): void {
  if (elements.repeated.has(step) && Array.isArray(item)) list.push(...item);
  else list.push(item);
}

/** Nothing is left of a value. */
const GONE = Symbol("gone");

/**
 * The object without the fields of `dropped` that are not in `kept`: what a manager applied before, and nobody owns
 * now. An element of a list goes with all that is in it; it keeps its keys as long as it stays.
 */
export function dropFields(schema: JsonSchema, object: JsonObject, dropped: FieldSet, kept: FieldSet): JsonObject {
  const left = dropBelow(schema, object, dropped, kept, []);
  return isJsonObject(left) ? left : {};
}

function drop(
  schema: JsonSchema | undefined,
  value: unknown,
  dropped: FieldSet | undefined,
  kept: FieldSet | undefined,
): unknown {
  if (dropped === undefined) return value;
  if (isMember(dropped) && kept === undefined) return GONE;
  return dropBelow(schema, value, dropped, kept, []);
}

function dropBelow(
  schema: JsonSchema | undefined,
  value: unknown,
  dropped: FieldSet,
  kept: FieldSet | undefined,
  keys: readonly string[],
): unknown {
  const shape = shapeOf(schema, value);
  if (shape.kind === "leaf") return value;
  let changed = false;
  let left: unknown;
  let count = 0;
  if (shape.kind === "fields") {
    const fields: [string, unknown][] = [];
    for (const [name, field] of Object.entries(shape.object)) {
      const step = fieldStep(name);
      const rest = keys.includes(name)
        ? field
        : drop(schemaOfField(schema, name), field, stepInto(dropped, step), stepInto(kept, step));
      changed ||= rest !== field;
      if (rest !== GONE) fields.push([name, rest]);
    }
    count = fields.length;
    left = Object.fromEntries(fields);
  } else {
    const { elements } = shape;
    const items: unknown[] = [];
    for (const [step, item] of elements.items) {
      const [before, now] = [stepInto(dropped, step), stepInto(kept, step)];
      const isGone = before !== undefined && isMember(before) && now === undefined;
      const rest =
        before === undefined || elements.repeated.has(step)
          ? item
          : dropBelow(elements.schema, item, before, now, elements.keys);
      changed ||= isGone || rest !== item;
      if (!isGone) push(items, elements, step, rest === GONE ? item : rest);
    }
    count = items.length;
    left = items;
  }
  if (!changed) return value;
  return count === 0 && kept === undefined ? GONE : left;
}

/** What keeps a configuration's lists from being merged: elements that cannot be told apart by their keys. */
export function listProblems(schema: JsonSchema, config: unknown): StatusCause[] {
  const causes: StatusCause[] = [];
  lookInto(schema, config, [], causes);
  return causes;
}

function lookInto(schema: JsonSchema | undefined, value: unknown, at: FieldPath, causes: StatusCause[]): void {
  if (Array.isArray(value)) {
    const elements = elementsOf(schema, value);
    const wrong = (reason: string, message: string) => causes.push({ reason, field: fieldPath(at), message });
    if (typeof elements === "string") {
      wrong(
        "FieldValueRequired",
        `Required value: server-side apply merges this list by its elements, and ${elements}`,
      );
      return;
    }
    for (const step of elements?.repeated ?? []) wrong("FieldValueDuplicate", `Duplicate value: ${step.slice(2)}`);
    for (const [index, item] of value.entries()) lookInto(elements?.schema, item, [...at, index], causes);
  } else if (isJsonObject(value)) {
    for (const [name, field] of Object.entries(value))
      lookInto(schemaOfField(schema, name), field, [...at, name], causes);
  }
}

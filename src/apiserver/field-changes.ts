import type { JsonSchema } from "../model/api/resource.ts";
import type { JsonObject } from "../model/json.ts";
import {
  difference,
  type FieldSet,
  fieldStep,
  isEmptySet,
  MEMBER,
  makeSet,
  NO_FIELDS,
  nodeOf,
  setOfFields,
} from "./field-set.ts";
import { sameJson } from "./json.ts";
import { declaredField, type Elements, schemaOfField, shapeOf } from "./merge-shape.ts";

/** The fields that a configuration names: what its manager owns by applying it. */
export function fieldsOf(schema: JsonSchema, config: unknown): FieldSet {
  return nodeOfValue(schema, config, true);
}

function nodeOfValue(schema: JsonSchema | undefined, value: unknown, declared: boolean): FieldSet {
  const shape = shapeOf(schema, value);
  switch (shape.kind) {
    case "leaf":
      return MEMBER;
    case "fields": {
      const below = setOfFields(shape.object, false, (name, field) => {
        const isDeclared = declaredField(schema, name) !== undefined;
        return nodeOfValue(schemaOfField(schema, name), field, isDeclared);
      });
      // A field of a struct is made by what is below it; one that only its writer knows must be owned to go again.
      return nodeOf(!declared || isEmptySet(below), below) ?? MEMBER;
    }
    case "elements": {
      const { elements } = shape;
      const below = makeSet(
        [...elements.items].map(([step, item]) => [
          step,
          elements.repeated.has(step) ? MEMBER : nodeOfValue(elements.schema, item, false),
        ]),
      );
      return nodeOf(!declared || isEmptySet(below), below) ?? MEMBER;
    }
  }
}

/** What differs between two values, as sets of fields. */
export interface FieldChanges {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

/** What stands at one step; undefined where nothing is. */
interface NodeChanges {
  readonly added?: FieldSet | undefined;
  readonly modified?: FieldSet | undefined;
  readonly removed?: FieldSet | undefined;
}

export function isWithoutChanges({ added, modified, removed }: FieldChanges): boolean {
  return isEmptySet(added) && isEmptySet(modified) && isEmptySet(removed);
}

/** What becomes of two whole objects' fields from `before` to `after`. */
export function changesOf(schema: JsonSchema, before: unknown, after: unknown): FieldChanges {
  const { added, modified, removed } = compare(schema, before, after);
  return { added: added ?? NO_FIELDS, modified: modified ?? NO_FIELDS, removed: removed ?? NO_FIELDS };
}

/** The same without some fields. */
export function changesWithout({ added, modified, removed }: FieldChanges, fields: FieldSet): FieldChanges {
  return {
    added: difference(added, fields),
    modified: difference(modified, fields),
    removed: difference(removed, fields),
  };
}

const SAME: NodeChanges = {};

function compare(schema: JsonSchema | undefined, before: unknown, after: unknown): NodeChanges {
  if (before === after) return SAME;
  if (before === undefined) return { added: whole(schema, after) };
  if (after === undefined) return { removed: whole(schema, before) };
  const [was, is] = [shapeOf(schema, before), shapeOf(schema, after)];
  if (was.kind === "fields" && is.kind === "fields") {
    const names = new Set([...Object.keys(was.object), ...Object.keys(is.object)]);
    const parts: [string, NodeChanges][] = [];
    for (const name of names) {
      const changes = compare(schemaOfField(schema, name), ownField(was.object, name), ownField(is.object, name));
      if (changes !== SAME) parts.push([fieldStep(name), changes]);
    }
    return gathered(parts);
  }
  if (was.kind === "elements" && is.kind === "elements") return compareElements(was.elements, is.elements);
  if (was.kind === "leaf" && is.kind === "leaf") return sameJson(before, after) ? SAME : { modified: MEMBER };
  // Of another form than before: what was inside is gone, what is inside is new.
  const [gone, fresh] = [insideOf(whole(schema, before)), insideOf(whole(schema, after))];
  return {
    modified: MEMBER,
    ...(gone === undefined ? {} : { removed: gone }),
    ...(fresh === undefined ? {} : { added: fresh }),
  };
}

/** Not what an object inherits: any word may be a key. */
function ownField(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function compareElements(was: Elements, is: Elements): NodeChanges {
  const parts: [string, NodeChanges][] = [];
  for (const step of new Set([...was.items.keys(), ...is.items.keys()])) {
    const [before, after] = [was.items.get(step), is.items.get(step)];
    const several = was.repeated.has(step) || is.repeated.has(step);
    if (!several || !was.items.has(step) || !is.items.has(step)) {
      const schema = several ? undefined : is.schema;
      const changes = compare(schema, before, after);
      if (changes !== SAME) parts.push([step, changes]);
    } else if (!sameJson(before, after)) {
      parts.push([step, { modified: MEMBER }]);
    }
  }
  return gathered(parts);
}

function gathered(parts: readonly (readonly [string, NodeChanges])[]): NodeChanges {
  if (parts.length === 0) return SAME;
  const part = (which: keyof NodeChanges): FieldSet | undefined => {
    if (!parts.some(([, changes]) => changes[which] !== undefined)) return undefined;
    const set = makeSet(parts.map(([step, changes]) => [step, changes[which]]));
    return isEmptySet(set) ? undefined : set;
  };
  return { added: part("added"), modified: part("modified"), removed: part("removed") };
}

/** A value that came or went with everything in it; every step to it is in the set. */
function whole(schema: JsonSchema | undefined, value: unknown): FieldSet {
  const shape = shapeOf(schema, value);
  if (shape.kind === "leaf") return MEMBER;
  if (shape.kind === "fields") {
    return setOfFields(shape.object, true, (name, field) => whole(schemaOfField(schema, name), field));
  }
  const { items, repeated, schema: ofItems } = shape.elements;
  const nodes = [...items].map(([step, item]): [string, FieldSet] => [
    step,
    repeated.has(step) ? MEMBER : whole(ofItems, item),
  ]);
  return nodeOf(true, makeSet(nodes)) ?? MEMBER;
}

function insideOf(node: FieldSet): FieldSet | undefined {
  return nodeOf(false, node);
}

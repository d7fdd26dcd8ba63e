import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";

const ZEROES: Readonly<Record<string, unknown>> = { string: "", integer: 0, number: 0, boolean: false };

/**
 * A value with an empty word, 0 or false for each of these that its JSON Schema requires and that it lacks: what a program
 * in Go reads there. Nothing else is added; what does not have the schema's shape stays as it is, and a value that lacks
 * nothing is given back itself.
 */
export function withZeroes(schema: JsonObject, value: unknown): unknown {
  return zeroesOf(schema)?.fill(value) ?? value;
}

/** What a schema requires; undefined where that is nothing, at any depth. */
interface Zeroes {
  fill(value: unknown): unknown;
}

/** By schema: it is read once. */
const known = new WeakMap<JsonObject, Zeroes | null>();

function zeroesOf(schema: JsonObject): Zeroes | undefined {
  const held = known.get(schema);
  if (held !== undefined) return held ?? undefined;
  const zeroes = readZeroes(schema);
  known.set(schema, zeroes ?? null);
  return zeroes;
}

function readZeroes(schema: JsonObject): Zeroes | undefined {
  const { items, required } = schema;
  const properties = objectAt(schema, "properties");
  const ofItems = isJsonObject(items) ? zeroesOf(items) : undefined;
  const inside = Object.keys(properties).flatMap((name): [string, Zeroes][] => {
    const zeroes = zeroesOf(objectAt(properties, name));
    return zeroes === undefined ? [] : [[name, zeroes]];
  });
  const own = (Array.isArray(required) ? required.map(String) : []).flatMap((name): [string, unknown][] => {
    const zero = ZEROES[textAt(objectAt(properties, name), "type") ?? ""];
    return zero === undefined ? [] : [[name, zero]];
  });
  if (ofItems === undefined && inside.length === 0 && own.length === 0) return undefined;
  return {
    fill(value) {
      if (Array.isArray(value)) return ofItems === undefined ? value : filledItems(ofItems, value);
      return isJsonObject(value) ? filledFields(inside, own, value) : value;
    },
  };
}

function filledItems(zeroes: Zeroes, list: readonly unknown[]): readonly unknown[] {
  const filled = list.map((item) => zeroes.fill(item));
  return filled.every((item, index) => item === list[index]) ? list : filled;
}

function filledFields(
  inside: readonly (readonly [string, Zeroes])[],
  own: readonly (readonly [string, unknown])[],
  object: JsonObject,
): JsonObject {
  let changed: Record<string, unknown> | undefined;
  for (const [name, zeroes] of inside) {
    if (!Object.hasOwn(object, name)) continue;
    const filled = zeroes.fill(object[name]);
    if (filled === object[name]) continue;
    changed ??= { ...object };
    changed[name] = filled;
  }
  for (const [name, zero] of own) {
    if (Object.hasOwn(object, name)) continue;
    changed ??= { ...object };
    changed[name] = zero;
  }
  return changed ?? object;
}

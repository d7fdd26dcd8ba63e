import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";

const ZEROES: Readonly<Record<string, unknown>> = { string: "", integer: 0, number: 0, boolean: false };

/**
 * A value with an empty word, 0 or false for each of these that its JSON Schema requires and that it lacks: what a program
 * in Go reads there. Nothing else is added; what does not have the schema's shape stays as it is.
 */
export function withZeroes(schema: JsonObject, value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = schema["items"];
    return isJsonObject(items) ? value.map((item: unknown) => withZeroes(items, item)) : value;
  }
  if (!isJsonObject(value)) return value;
  const properties = objectAt(schema, "properties");
  const required: unknown = schema["required"];
  const missing = (Array.isArray(required) ? required.map(String) : []).flatMap((name): [string, unknown][] => {
    const zero = ZEROES[textAt(objectAt(properties, name), "type") ?? ""];
    return Object.hasOwn(value, name) || zero === undefined ? [] : [[name, zero]];
  });
  const filled = Object.entries(value).map(([name, field]): [string, unknown] => [
    name,
    Object.hasOwn(properties, name) ? withZeroes(objectAt(properties, name), field) : field,
  ]);
  return Object.fromEntries([...filled, ...missing]);
}

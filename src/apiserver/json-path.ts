import { isJsonObject } from "../model/json.ts";

type Step =
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "index"; readonly at: number }
  | { readonly kind: "all" }
  | { readonly kind: "filter"; readonly path: readonly Step[]; readonly value: string };

/** A printer column's path, ready to be read from objects: all values that it leads to. */
export type JsonPath = (object: unknown) => readonly unknown[];

/**
 * Compiles the JSONPath subset of CustomResourceDefinitions: `.a.b`, `['a']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`.
 *
 * @throws Error where the path is no such path: definitions are the program's own.
 */
export function compileJsonPath(path: string): JsonPath {
  const steps = parse(path.replace(/^\{(.*)\}$/s, "$1").replace(/^\$/, ""), path);
  return (object) => walk([object], steps);
}

function parse(text: string, whole: string): Step[] {
  const steps: Step[] = [];
  const token =
    /\.(\*|(?:\\.|[^.[\]\\])+)|\[(-?\d+)\]|\[\*\]|\['([^']*)'\]|\["([^"]*)"\]|\[\?\(@((?:\.|\[)[^=]*?)\s*==\s*(?:'([^']*)'|"([^"]*)"|([\w.]+))\)\]/y;
  let at = 0;
  while (at < text.length) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) throw new Error(`the JSON path ${whole} cannot be read at "${text.slice(at)}"`);
    at = token.lastIndex;
    const [, dotted, index, single, double, filterPath, singleValue, doubleValue, bareValue] = match;
    const name = single ?? double ?? (dotted === "*" ? undefined : dotted?.replace(/\\(.)/g, "$1"));
    if (filterPath !== undefined) {
      const value = singleValue ?? doubleValue ?? bareValue ?? "";
      steps.push({ kind: "filter", path: parse(filterPath, whole), value });
    } else if (index !== undefined) {
      steps.push({ kind: "index", at: Number(index) });
    } else {
      steps.push(name === undefined ? { kind: "all" } : { kind: "field", name });
    }
  }
  return steps;
}

function walk(nodes: readonly unknown[], steps: readonly Step[]): readonly unknown[] {
  return steps.reduce<readonly unknown[]>((current, step) => current.flatMap((node) => [...take(node, step)]), nodes);
}

function take(node: unknown, step: Step): readonly unknown[] {
  switch (step.kind) {
    case "field":
      return isJsonObject(node) && Object.hasOwn(node, step.name) ? [node[step.name]] : [];
    case "index":
      return Array.isArray(node) && node.at(step.at) !== undefined ? [node.at(step.at)] : [];
    case "all":
      return Array.isArray(node) ? node : isJsonObject(node) ? Object.values(node) : [];
    case "filter":
      return Array.isArray(node)
        ? node.filter((element) => walk([element], step.path).some((value) => String(value) === step.value))
        : [];
  }
}

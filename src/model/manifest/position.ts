import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";
import type { FieldPath } from "../api/field-path.ts";

/** Offsets in the text: from, to (exclusive). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where a field stands in the text: its key, or its value; the nearest object around it where it is not there. */
export function placeOf(document: Document.Parsed, at: FieldPath, part: "key" | "value"): Span {
  const walk = walkTo(document, at);
  const last = walk.at(-1);
  const complete = walk.length === at.length + 1;
  if (last === undefined) return { start: 0, end: 0 };
  // A field that is not there is shown at the key of the object that should hold it.
  const wanted = complete && part === "value" ? last.value : (last.key ?? last.value);
  const span = spanOf(wanted) ?? spanOf(last.key) ?? spanOf(last.value);
  return span ?? { start: 0, end: 0 };
}

/** A scalar as it was written. */
export function sourceOf(document: Document.Parsed, at: FieldPath): string | undefined {
  const walk = walkTo(document, at);
  const node = walk.length === at.length + 1 ? resolved(document, walk.at(-1)?.value) : undefined;
  return isScalar(node) ? node.source : undefined;
}

/**
 * Where a part of a scalar's text stands: `offset` and `length` count in what {@link sourceOf} gives.
 *
 * Blanks count for nothing, so that indentation, folding and escaped line breaks do not matter. Undefined where there is
 * no scalar, or where its letters cannot be told from their quoting.
 */
export function placeWithin(
  document: Document.Parsed,
  text: string,
  at: FieldPath,
  offset: number,
  length: number,
): Span | undefined {
  const walk = walkTo(document, at);
  const node = walk.length === at.length + 1 ? resolved(document, walk.at(-1)?.value) : undefined;
  if (!isScalar(node) || node.source === undefined || node.range === undefined || node.range === null) return undefined;
  const [from, to] = node.range;
  const letters = lettersOf(text.slice(from, to), node.type ?? "");
  const before = unblanked(node.source.slice(0, offset)).length;
  const inside = unblanked(node.source.slice(offset, offset + length)).length;
  if (letters.length === 0 || letters.length !== unblanked(node.source).length) return undefined;
  const last = letters[Math.max(0, before + inside - 1)] ?? 0;
  const start = letters[before];
  // Past the last letter stands what is missing there.
  return start === undefined
    ? { start: from + last + 1, end: from + last + 2 }
    : { start: from + start, end: from + Math.max(start, last) + 1 };
}

const unblanked = (text: string): string => text.replace(/\s+/g, "");

/** Offsets of the letters of a scalar in the text that it was read from, blanks left out. */
function lettersOf(raw: string, type: string): number[] {
  if (type.startsWith("BLOCK")) {
    const header = raw.indexOf("\n") + 1;
    return header === 0 ? [] : unescaped(raw, header, raw.length, /\S/gy);
  }
  if (type === "QUOTE_SINGLE") return unescaped(raw, 1, raw.length - 1, /''|\S/gy);
  if (type === "QUOTE_DOUBLE") return unescaped(raw, 1, raw.length - 1, /\\(?:x..|u.{4}|U.{8}|[\s\S])|\S/gy);
  return unescaped(raw, 0, raw.length, /\S/gy);
}

/** Escapes that stand for a blank or for nothing. */
const BLANK_ESCAPE = /^\\(?:[ntrvf \t_NLP\n\r]|x(?:09|0[aAdD]|20|[aA]0|85)|u00(?:09|0[aAdD]|20|[aA]0|85))$/;

function unescaped(raw: string, from: number, to: number, letter: RegExp): number[] {
  const found: number[] = [];
  for (let offset = from; offset < to; ) {
    letter.lastIndex = offset;
    const [match] = letter.exec(raw) ?? [];
    if (match !== undefined && !BLANK_ESCAPE.test(match)) {
      found.push(offset);
      if (match.startsWith("\\U") && Number.parseInt(match.slice(2), 16) > 0xffff) found.push(offset);
    }
    offset += match?.length ?? 1;
  }
  return found;
}

interface Stop {
  readonly key: Node | undefined;
  readonly value: Node | undefined;
}

/** The root and every part on the way to a place, as far as there are any. */
function walkTo(document: Document.Parsed, at: FieldPath): Stop[] {
  const stops: Stop[] = [{ key: undefined, value: document.contents ?? undefined }];
  for (const key of at) {
    const node = resolved(document, stops.at(-1)?.value);
    const next = isMap(node)
      ? entryOf(document, node, String(key))
      : isSeq(node)
        ? itemOf(node.items[Number(key)])
        : undefined;
    if (next === undefined) break;
    stops.push(next);
  }
  return stops;
}

function entryOf(document: Document.Parsed, node: YAMLMap, key: string): Stop | undefined {
  let merged: Stop | undefined;
  for (const pair of node.items) {
    const name = isScalar(pair.key) ? pair.key : undefined;
    if (name === undefined) continue;
    if (String(name.value) === key || name.source === key) return stopOf(pair, name);
    if (name.source === "<<") merged ??= mergedEntry(document, nodeOf(pair.value), key);
  }
  return merged;
}

function mergedEntry(document: Document.Parsed, value: Node | undefined, key: string): Stop | undefined {
  const source = resolved(document, value);
  if (isMap(source)) return entryOf(document, source, key);
  if (!isSeq(source)) return undefined;
  for (const item of source.items) {
    const found = mergedEntry(document, nodeOf(item), key);
    if (found !== undefined) return found;
  }
  return undefined;
}

function stopOf(pair: Pair, key: Node): Stop {
  return { key, value: nodeOf(pair.value) };
}

function itemOf(item: unknown): Stop | undefined {
  const value = isPair(item) ? nodeOf(item.value) : nodeOf(item);
  return value === undefined ? undefined : { key: undefined, value };
}

function nodeOf(value: unknown): Node | undefined {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value) ? value : undefined;
}

function resolved(document: Document.Parsed, node: Node | undefined): Node | undefined {
  return isAlias(node) ? node.resolve(document) : node;
}

function spanOf(node: Node | undefined): Span | undefined {
  const range = node?.range;
  if (range === undefined || range === null) return undefined;
  // An empty value has no letters of its own.
  return range[1] > range[0] || !isScalar(node) ? { start: range[0], end: range[1] } : undefined;
}

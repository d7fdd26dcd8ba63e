import type { FieldPath } from "../api/field-path.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import type { ManifestDocument } from "./document.ts";
import type { Finding } from "./finding.ts";

/** A part of a rewritten document, and where the text has what it was made of. */
export interface Origin {
  readonly part: FieldPath;
  readonly of: FieldPath;
}

/** A document as it was meant, with one warning for each thing that was added, moved or put right. */
export interface Completed {
  readonly document: ManifestDocument;
  readonly findings: readonly Finding[];
}

/**
 * A document with another value; places of its parts are still those of the text.
 *
 * Parts without an origin stand where they stood, and those that were not there stand at the object around them.
 */
export function rewritten(
  document: ManifestDocument,
  value: ManifestDocument["value"],
  origins: readonly Origin[] = [],
): ManifestDocument {
  const original = (at: FieldPath): FieldPath => {
    const held = origins.filter(({ part }) => part.every((key, index) => key === at[index]));
    const nearest = held.toSorted((one, other) => other.part.length - one.part.length)[0];
    return nearest === undefined ? at : [...nearest.of, ...at.slice(nearest.part.length)];
  };
  return {
    file: document.file,
    value,
    position: (at, part) => document.position(original(at), part),
    source: (at) => document.source(original(at)),
    within: (at, offset, length) => document.within(original(at), offset, length),
  };
}

/** `root` with `field` at a place, objects on the way made where there are none; undefined removes the field. */
export function withField<T>(root: T, at: FieldPath, field: unknown): T {
  return put(root, at, field) as T;
}

function put(value: unknown, [key, ...rest]: FieldPath, field: unknown): unknown {
  if (key === undefined) return field;
  if (Array.isArray(value)) return value.map((item, index) => (index === key ? put(item, rest, field) : item));
  const record = isJsonObject(value) ? value : {};
  if (field === undefined && rest.length === 0) {
    return Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));
  }
  return { ...record, [key]: put(Object.hasOwn(record, key) ? record[key] : undefined, rest, field) };
}

/** The objects of a list with their places; whatever else it holds is passed over. */
export function objectsAt(
  list: unknown,
  at: FieldPath,
): readonly { readonly at: FieldPath; readonly item: JsonObject }[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown, index) => (isJsonObject(item) ? [{ at: [...at, index], item }] : []));
}

import { parseDocument } from "yaml";
import { type FieldPath, fieldPath } from "../model/api/field-path.ts";
import { isJsonObject } from "../model/json.ts";

/** What Kubernetes keeps exactly; what is larger it rounds as JavaScript does. */
const LARGEST_KEPT = 2n ** 63n;
/** Bounds in the schema of a definition of a kind, which Kubernetes rounds too. */
const BOUNDS: ReadonlySet<string> = new Set(["maximum", "minimum", "multipleOf"]);

/**
 * Why a document cannot be kept as it is written: a whole number of 64 bits in it that would be rounded. Undefined where
 * there is none. To be asked of a valid document that has whole numbers beyond 2^53 only: it is read once more.
 */
export function roundingIn(text: string, form: "json" | "yaml"): string | undefined {
  const exact: unknown =
    form === "json"
      ? JSON.parse(text, exactly)
      : parseDocument(text, { uniqueKeys: false, intAsBigInt: true }).toJS({ maxAliasCount: 100 });
  const isDefinition = isJsonObject(exact) && exact["kind"] === "CustomResourceDefinition";
  const found = findRounded(exact, [], isDefinition ? BOUNDS : new Set());
  if (found === undefined) return undefined;
  const [path, number] = found;
  return `${fieldPath(path) || "it"} is ${number}, which is not kept exactly: beyond ${Number.MAX_SAFE_INTEGER}, write a number as text`;
}

/** Whole numbers of a JSON text by their digits. */
function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

function findRounded(
  value: unknown,
  path: FieldPath,
  besides: ReadonlySet<string>,
): readonly [FieldPath, bigint] | undefined {
  if (typeof value === "bigint") {
    const isKept = -LARGEST_KEPT <= value && value < LARGEST_KEPT;
    return isKept && String(Number(value)) !== String(value) ? [path, value] : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, item] of Object.entries(value)) {
    if (besides.has(key)) continue;
    const found = findRounded(item, [...path, Array.isArray(value) ? Number(key) : key], besides);
    if (found !== undefined) return found;
  }
  return undefined;
}

import { type FieldPath, fieldPath, valueAt } from "../api/field-path.ts";
import { isDnsLabel, isDnsSubdomain, isLabelKey, isLabelValue } from "../api/names.ts";
import { isJsonObject } from "../json.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";

const NAME = "small letters, digits, dashes and dots, at most 253 of them, a letter or digit at both ends";
const LABEL = "small letters, digits and dashes, at most 63 of them, a letter or digit at both ends";
const KEY = "letters, digits, dashes, dots and underscores, at most 63 of them, after a DNS name and a slash or not";
const VALUE = "nothing, or letters, digits, dashes, dots and underscores, at most 63 of them";

/** What the API would refuse of an object's name, namespace, labels and annotations (PB1017). */
export function metadataFindings(document: ManifestDocument, namespaces: boolean): Finding[] {
  const name = valueAt(document.value, ["metadata", "name"]);
  const namespace = valueAt(document.value, ["metadata", "namespace"]);
  const isName = namespaces ? isDnsLabel : isDnsSubdomain;
  return [
    ...(typeof name === "string" && name !== "" && !isName(name)
      ? [malformed(document, ["metadata", "name"], name, namespaces ? LABEL : NAME)]
      : []),
    ...(typeof namespace === "string" && namespace !== "" && !isDnsLabel(namespace)
      ? [malformed(document, ["metadata", "namespace"], namespace, LABEL)]
      : []),
    ...[["metadata"], ["spec", "template", "metadata"]].flatMap((root) => [
      ...labels(document, [...root, "labels"]),
      ...annotations(document, [...root, "annotations"]),
    ]),
  ];
}

function labels(document: ManifestDocument, at: FieldPath): Finding[] {
  return entries(document, at).flatMap(([key, value]) => [
    ...(isLabelKey(key) ? [] : [malformed(document, [...at, key], key, KEY, "key")]),
    ...(typeof value !== "string" || isLabelValue(value) ? [] : [malformed(document, [...at, key], value, VALUE)]),
  ]);
}

function annotations(document: ManifestDocument, at: FieldPath): Finding[] {
  return entries(document, at).flatMap(([key]) =>
    isLabelKey(key.toLowerCase()) ? [] : [malformed(document, [...at, key], key, KEY, "key")],
  );
}

function entries(document: ManifestDocument, at: FieldPath): [string, unknown][] {
  const value = valueAt(document.value, at);
  return isJsonObject(value) ? Object.entries(value) : [];
}

function malformed(
  document: ManifestDocument,
  at: FieldPath,
  text: string,
  expected: string,
  part: "key" | "value" = "value",
): Finding {
  const what = part === "key" ? "The key" : fieldPath(at);
  const message = `${what} cannot be ${JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)}.`;
  return findingAt(document, at, { code: "PB1017", severity: "error", message, expected }, { part });
}

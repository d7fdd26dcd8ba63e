import { type FieldPath, fieldPath } from "../api/field-path.ts";
import type { Code } from "../codes/codes.ts";
import type { ManifestDocument } from "./document.ts";

/** One thing to say about a manifest, with its place in the file. */
export interface Finding {
  readonly code: Code;
  readonly severity: "error" | "warning" | "info";
  /** `spec.networks[0].name`; empty where the finding is about the whole document or file. */
  readonly path: string;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  readonly message: string;
  /** What would be taken; empty where the message says it all. */
  readonly expected: string;
  /** The cure or the near miss; empty where there is none. */
  readonly hint: string;
  /** Units from `column` on that the finding is about. */
  readonly length: number;
}

/** What a finding says, apart from where. */
export interface Statement {
  readonly code: Code;
  readonly severity: Finding["severity"];
  readonly message: string;
  readonly expected?: string;
  readonly hint?: string;
}

/** A finding at a place of a document: at the key of a field that should not be there, else at its value. */
export function findingAt(
  document: ManifestDocument,
  at: FieldPath,
  statement: Statement,
  options: { readonly part?: "key" | "value"; readonly path?: string } = {},
): Finding {
  const { line, column, length } = document.position(at, options.part ?? "value");
  return {
    code: statement.code,
    severity: statement.severity,
    path: options.path ?? fieldPath(at),
    file: document.file,
    line,
    column,
    message: statement.message,
    expected: statement.expected ?? "",
    hint: statement.hint ?? "",
    length,
  };
}

/** The finding as the `-o json` output has it. */
export function findingJson(finding: Finding): Omit<Finding, "length"> {
  const { code, severity, path, file, line, column, message, expected, hint } = finding;
  return { code, severity, path, file, line, column, message, expected, hint };
}

/** Order of reading: file, line, column, code. */
export function byPlace(one: Finding, other: Finding): number {
  return (
    compare(one.file, other.file) || one.line - other.line || one.column - other.column || compare(one.code, other.code)
  );
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

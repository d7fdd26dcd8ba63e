import type { FieldPath } from "../api/field-path.ts";
import { JUDGED_KINDS, type JudgedKind, judge } from "../rules/judge.ts";
import type { Problem } from "../rules/problem.ts";
import { type Finding, findingAt } from "./finding.ts";
import type { ManifestDocument } from "./read.ts";
import { checkDocument } from "./shape-findings.ts";

/**
 * Everything to say about a document: what its schema does not take, the rules that it breaks, and what is unwise.
 *
 * `configuration` is `spec.configuration` of the KubeVirt resource.
 */
export function checkManifest(document: ManifestDocument, configuration: unknown): Finding[] {
  const { definition, findings, problems: misfits } = checkDocument(document);
  if (definition === undefined || !isJudged(definition.kind)) return [...findings];
  const missing = misfits.filter(({ kind }) => kind === "missing").map(({ at }) => at);
  const { problems, advice } = judge(definition.kind, document.value, configuration);
  const broken = problems.filter(
    // What the schema refuses is told already, and so is what a rule makes of a missing field.
    ({ code, at }) => !code.startsWith("PB1") && !missing.some((field) => isAbout(at, field)),
  );
  return [
    ...findings,
    ...broken.map((problem) => ruleFinding(document, problem, "error")),
    ...advice.map((problem) => ruleFinding(document, problem, "warning")),
  ];
}

/** A rule's finding, with its place in the file. */
function ruleFinding(
  document: ManifestDocument,
  { code, at, field, message, cure }: Problem,
  severity: Finding["severity"],
): Finding {
  const statement = { code, severity, message, ...(cure === undefined ? {} : { hint: cure }) };
  return findingAt(document, at, statement, field === "" ? {} : { path: field });
}

function isAbout(at: FieldPath, missing: FieldPath): boolean {
  return at.length >= missing.length - 1 && at.every((key, index) => key === missing[index]);
}

function isJudged(kind: string): kind is JudgedKind {
  return JUDGED_KINDS.some((judged) => judged === kind);
}

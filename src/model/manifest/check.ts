import { type FieldPath, valueAt } from "../api/field-path.ts";
import type { ShapeProblem } from "../api/shape.ts";
import { EXPECTED } from "../rules/expected.ts";
import { JUDGED_KINDS, type JudgedKind, judge } from "../rules/judge.ts";
import type { Problem, RuleCode } from "../rules/problem.ts";
import { sriovProblems } from "../rules/sriov.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";
import { macvtapConfigFindings } from "./macvtap-config.ts";
import { metadataFindings } from "./metadata-findings.ts";
import { checkDocument } from "./shape-findings.ts";

/**
 * Everything to say about a document: what its schema does not take, the rules that it breaks, and what is unwise.
 *
 * `configuration` is `spec.configuration` of the KubeVirt resource.
 */
export function checkManifest(document: ManifestDocument, configuration: unknown): Finding[] {
  const { definition, findings, problems: misfits } = checkDocument(document);
  if (definition === undefined) return [...findings];
  const isNamespace = definition.group === "" && definition.plural === "namespaces";
  const nameless = [...namelessFinding(document, misfits), ...metadataFindings(document, isNamespace)];
  const ofDevices = sriovProblems(document.value).map((problem) => ruleFinding(document, problem, "error"));
  if (!isJudged(definition.kind)) {
    return [...findings, ...nameless, ...ofDevices, ...macvtapConfigFindings(document)];
  }
  const missing = misfits.filter(({ kind }) => kind === "missing").map(({ at }) => at);
  const { problems, advice } = judge(definition.kind, document.value, configuration);
  const broken = problems.filter(
    // What the schema refuses is told already, and so is what a rule makes of a missing field.
    ({ code, at }) => !code.startsWith("PB1") && !missing.some((field) => isAbout(at, field)),
  );
  return [
    ...findings,
    ...nameless,
    ...broken.map((problem) => ruleFinding(document, problem, "error")),
    ...advice.map((problem) => ruleFinding(document, problem, "warning")),
  ];
}

/** The API takes an object by its name, or makes one of `generateName`; a schema cannot say so. */
function namelessFinding(document: ManifestDocument, misfits: readonly ShapeProblem[]): Finding[] {
  const given = ["name", "generateName"].some((key) => (valueAt(document.value, ["metadata", key]) ?? "") !== "");
  if (given || misfits.some(({ at }) => at.length === 1 && at[0] === "metadata")) return [];
  const at = ["metadata", "name"];
  const statement = {
    code: "PB1004",
    severity: "error",
    message: "metadata.name is missing.",
    expected: "text",
  } as const;
  return [findingAt(document, at, statement)];
}

/** A rule's finding, with its place in the file. */
function ruleFinding(
  document: ManifestDocument,
  { code, at, field, message, expected, cure }: Problem,
  severity: Finding["severity"],
): Finding {
  const taken = expected ?? (isRuleCode(code) ? EXPECTED[code] : "");
  const statement = { code, severity, message, expected: taken, ...(cure === undefined ? {} : { hint: cure }) };
  return findingAt(document, at, statement, field === "" ? {} : { path: field });
}

function isAbout(at: FieldPath, missing: FieldPath): boolean {
  return at.length >= missing.length - 1 && at.every((key, index) => key === missing[index]);
}

function isRuleCode(code: Problem["code"]): code is RuleCode {
  return Object.hasOwn(EXPECTED, code);
}

function isJudged(kind: string): kind is JudgedKind {
  return JUDGED_KINDS.some((judged) => judged === kind);
}

import { valueAt } from "../api/field-path.ts";
import { foreignKind } from "../api/foreign-kinds.ts";
import { definitionOf, definitions } from "../api/kinds.ts";
import type { ResourceDefinition } from "../api/resource.ts";
import { checkShape, type ShapeProblem } from "../api/shape.ts";
import { nearMiss } from "../near-miss.ts";
import { looksLikeCni } from "./cni-file.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";

export interface CheckedShape {
  /** Absent where the kind is not known. */
  readonly definition?: ResourceDefinition;
  /** What its schema does not take. */
  readonly problems: readonly ShapeProblem[];
  readonly findings: readonly Finding[];
}

const CODES = { unknown: "PB1002", type: "PB1003", missing: "PB1004", value: "PB1005" } as const;

/** What a document is, and everything in it that its kind does not take. */
export function checkDocument(document: ManifestDocument): CheckedShape {
  const { apiVersion, kind } = document.value;
  if (typeof kind !== "string" || typeof apiVersion !== "string") {
    const field = typeof kind !== "string" ? "kind" : "apiVersion";
    const statement = {
      code: "PB1008",
      severity: "error",
      message: `The document has no ${field}.`,
      expected: "apiVersion and kind, such as kubevirt.io/v1 and VirtualMachineInstance",
      ...(typeof kind !== "string" && looksLikeCni(document.value)
        ? {
            hint: "This is a CNI configuration: put it into a .conf or .conflist file, as JSON, or into spec.config of a NetworkAttachmentDefinition.",
          }
        : {}),
    } as const;
    return { problems: [], findings: [findingAt(document, [field], statement)] };
  }
  const definition = definitionOf(apiVersion, kind);
  if (definition === undefined) return { problems: [], findings: [unknownKind(document, apiVersion, kind)] };
  // Kubernetes reads null in metadata as nothing: "labels:" with nothing behind it.
  const problems = checkShape(definition.schema ?? {}, document.value).filter(
    ({ at }) => at[0] !== "metadata" || at.length < 2 || valueAt(document.value, at) !== null,
  );
  return { definition, problems, findings: problems.map((problem) => shapeFinding(document, problem)) };
}

/** A kind that is none of ours is left alone, and so is a known one of KubeVirt's; one that is nearly ours is a mistake. */
function unknownKind(document: ManifestDocument, apiVersion: string, kind: string): Finding {
  const same = definitions.find((definition) => definition.kind === kind);
  if (same !== undefined) {
    const version = same.group === "" ? same.version : `${same.group}/${same.version}`;
    return findingAt(document, ["apiVersion"], {
      code: "PB1009",
      severity: "error",
      message: `There is no ${kind} in apiVersion "${apiVersion}".`,
      expected: version,
      hint: `did you mean "${version}"?`,
    });
  }
  const foreign = foreignKind(apiVersion, kind);
  if (foreign !== undefined) {
    return findingAt(document, ["kind"], {
      code: "PB1009",
      severity: "warning",
      message: `The kind "${kind}" is ${foreign.owner}, and this version of Patchbay does not serve it; the document was not looked at.`,
      expected: `one of ${definitions.map((definition) => definition.kind).join(", ")}`,
      hint: foreign.instead,
    });
  }
  const near =
    definitions.find(({ shortNames }) => shortNames.includes(kind.toLowerCase()))?.kind ??
    nearMiss(
      kind,
      definitions.map((definition) => definition.kind),
    );
  return findingAt(document, ["kind"], {
    code: "PB1009",
    severity: near === undefined ? "warning" : "error",
    message:
      near === undefined
        ? `The kind "${kind}" of "${apiVersion}" is none that Patchbay serves; the document was not checked.`
        : `The kind "${kind}" is not known.`,
    expected: `one of ${definitions.map((definition) => definition.kind).join(", ")}`,
    ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
  });
}

/** A problem of shape, with its place in the file. */
export function shapeFinding(document: ManifestDocument, problem: ShapeProblem): Finding {
  const hint = problem.hint ?? quotingHint(document, problem);
  return findingAt(
    document,
    problem.at,
    {
      code: CODES[problem.kind],
      severity: "error",
      message: message(problem),
      expected: problem.expected,
      ...(hint === undefined ? {} : { hint }),
    },
    { part: problem.kind === "unknown" ? "key" : "value" },
  );
}

function message(problem: ShapeProblem): string {
  const name = problem.path === "" ? "The document" : problem.path;
  switch (problem.kind) {
    case "unknown":
      return `${problem.path} is not a known field.`;
    case "missing":
      return `${problem.path} is missing.`;
    case "type":
      return `${name} is ${problem.found}.`;
    case "value":
      return `${name} cannot be ${problem.found}.`;
  }
}

/** YAML 1.1 reads bare words such as `yes` and `010` as booleans and numbers. */
function quotingHint(document: ManifestDocument, problem: ShapeProblem): string | undefined {
  if (problem.kind !== "type" || problem.expected !== "text") return undefined;
  const source = document.source(problem.at);
  return source === undefined || source === "" ? undefined : `write it in quotes: "${source}"`;
}

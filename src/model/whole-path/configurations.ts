import { valueAt } from "../api/field-path.ts";
import { type Finding, findingAt } from "../manifest/finding.ts";
import type { AttachmentDefinition } from "../networks/attachment-definitions.ts";
import type { Run } from "./run.ts";

const CONFIG = ["spec", "config"];

/** CNI configurations that cannot be read (PB3003, PB3004, PB3005), and definitions that have none (PB2702). */
export function configurationFindings({ sources, definitions }: Run): Finding[] {
  return [
    ...sources.flatMap((source) =>
      source.problems.map((problem) => {
        const { code, severity, message, cure } = problem;
        const what = `${source.name} ${severity === "error" ? "cannot be used" : "is incomplete"}`;
        return source.problemFinding(problem, {
          code,
          severity,
          message: `${what}: ${lowerFirst(message)}`,
          hint: cure,
        });
      }),
    ),
    ...[...definitions.values()].flatMap(empty),
  ];
}

/** One without a configuration is Multus' way to name a file of the node. */
function empty({ namespace, name, document }: AttachmentDefinition): Finding[] {
  const config = valueAt(document.value, CONFIG);
  if (config !== undefined && (typeof config !== "string" || config.trim() !== "")) return [];
  const statement = {
    code: "PB2702",
    severity: "info",
    message: `The NetworkAttachmentDefinition ${namespace}/${name} has no configuration: Multus takes the file of the CNI configuration folder whose network is called "${name}".`,
    hint: "Each node must have that file.",
  } as const;
  return [findingAt(document, CONFIG, statement, { part: "key" })];
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

import { valueAt } from "../api/field-path.ts";
import { completedConfig } from "../networks/attachment-config.ts";
import type { ManifestDocument } from "./document.ts";
import { findingAt } from "./finding.ts";
import { type Completed, rewritten, withField } from "./rewritten.ts";

const CONFIG = ["spec", "config"];

/** Gives the CNI configuration of a NetworkAttachmentDefinition the name and the version that it lacks. */
export function completeAttachment(document: ManifestDocument): Completed {
  const config = valueAt(document.value, CONFIG);
  const name = valueAt(document.value, ["metadata", "name"]);
  if (document.value["kind"] !== "NetworkAttachmentDefinition" || typeof config !== "string") {
    return { document, findings: [] };
  }
  const { text, added } = completedConfig(config, typeof name === "string" ? name : undefined);
  const fields = Object.entries(added).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  if (fields.length === 0) return { document, findings: [] };
  const warning = findingAt(document, CONFIG, {
    code: "PB1015",
    severity: "warning",
    message: `The CNI configuration has no ${Object.keys(added).join(" and no ")}, and gets ${fields.join(", ")}.`,
    expected: fields.join(", "),
    hint: "Write it into config; plugins and Multus versions differ in what they make of its absence.",
  });
  return { document: rewritten(document, withField(document.value, CONFIG, text)), findings: [warning] };
}

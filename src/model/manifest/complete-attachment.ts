import { valueAt } from "../api/field-path.ts";
import { isJsonObject } from "../json.ts";
import { readJson } from "../networks/cni-json.ts";
import type { Completed } from "./completion.ts";
import { findingAt } from "./finding.ts";
import type { ManifestDocument } from "./read.ts";
import { rewritten, withField } from "./rewritten.ts";

/** What the plugins of the last years all take, and what KubeVirt's documentation writes. */
const CNI_VERSION = "0.3.1";
const CONFIG = ["spec", "config"];

/** Gives the CNI configuration of a NetworkAttachmentDefinition the name and the version that it lacks. */
export function completeAttachment(document: ManifestDocument): Completed {
  const config = valueAt(document.value, CONFIG);
  const name = valueAt(document.value, ["metadata", "name"]);
  if (document.value["kind"] !== "NetworkAttachmentDefinition" || typeof config !== "string") {
    return { document, findings: [] };
  }
  const reading = readJson(config);
  if ("problem" in reading || !isJsonObject(reading.value) || Object.keys(reading.value).length === 0) {
    return { document, findings: [] };
  }
  const given = reading.value;
  const versioned = Object.hasOwn(given, "cniVersion") || Object.hasOwn(given, "cniVersions");
  const added = {
    ...(versioned ? {} : { cniVersion: CNI_VERSION }),
    ...(Object.hasOwn(given, "name") || typeof name !== "string" ? {} : { name }),
  };
  const fields = Object.entries(added).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  if (fields.length === 0) return { document, findings: [] };
  const warning = findingAt(document, CONFIG, {
    code: "PB1015",
    severity: "warning",
    message: `The CNI configuration has no ${Object.keys(added).join(" and no ")}, and gets ${fields.join(", ")}.`,
    expected: fields.join(", "),
    hint: "Write it into config; plugins and Multus versions differ in what they make of its absence.",
  });
  // The text is kept as it is written, numbers and all.
  const completed = config.replace("{", () => `{${fields.join(", ")}, `);
  return { document: rewritten(document, withField(document.value, CONFIG, completed)), findings: [warning] };
}

import { objectAt, textAt } from "../json.ts";
import { MACVTAP_CONFIG_KEY, MACVTAP_CONFIG_MAP, readMacvtapConfig } from "../pods/macvtap-devices.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";

/** What is wrong with the list of macvtap devices in their ConfigMap (PB6123); nothing for any other document. */
export function macvtapConfigFindings(document: ManifestDocument): Finding[] {
  const { value } = document;
  if (value["kind"] !== "ConfigMap" || textAt(objectAt(value, "metadata"), "name") !== MACVTAP_CONFIG_MAP) return [];
  const text = textAt(objectAt(value, "data"), MACVTAP_CONFIG_KEY);
  const reading = readMacvtapConfig(text ?? "");
  if (text !== undefined && "resources" in reading) return [];
  const problem = "problem" in reading ? reading : { problem: "is not there", cure: 'Write "[]" for every link.' };
  return [
    findingAt(document, text === undefined ? ["data"] : ["data", MACVTAP_CONFIG_KEY], {
      code: "PB6123",
      severity: text === undefined ? "warning" : "error",
      message: `${MACVTAP_CONFIG_KEY}${text === undefined ? " " : ": "}${problem.problem}.`,
      expected: 'a list such as [{"name": "eth0", "lowerDevice": "eth0", "mode": "bridge", "capacity": 50}]',
      hint: problem.cure,
    }),
  ];
}

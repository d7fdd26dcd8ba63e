import { MACVTAP_CONFIG_KEY, macvtapConfigProblem } from "../pods/macvtap-devices.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";

/** What is wrong with the list of macvtap devices in their ConfigMap (PB6123); nothing for any other document. */
export function macvtapConfigFindings(document: ManifestDocument): Finding[] {
  const found = macvtapConfigProblem(document.value);
  if (found === undefined) return [];
  const { absent, problem, cure } = found;
  return [
    findingAt(document, absent ? ["data"] : ["data", MACVTAP_CONFIG_KEY], {
      code: "PB6123",
      severity: absent ? "warning" : "error",
      message: `${MACVTAP_CONFIG_KEY}${absent ? " " : ": "}${problem}.`,
      expected: 'a list such as [{"name": "eth0", "lowerDevice": "eth0", "mode": "bridge", "capacity": 50}]',
      hint: cure,
    }),
  ];
}

import type { PortRange } from "../api/interfaces.ts";
import type { Problem, RuleCode } from "./problem.ts";
import { type Nic, nicProblem } from "./subject.ts";

const MOST_RANGES = 10;

/** Runs of ports, which KubeVirt 1.9 has behind the gate `PortRangesSpec`. */
export function judgePortRanges(nics: readonly Nic[]): Problem[] {
  return nics.flatMap((nic) => (nic.nic.portRanges === undefined ? [] : judgeRanges(nic, nic.nic.portRanges)));
}

function judgeRanges(nic: Nic, ranges: readonly PortRange[]): Problem[] {
  const problems: Problem[] = [];
  const refuse = (code: RuleCode, at: (string | number)[], message: string, cure: string): void => {
    problems.push(nicProblem(nic, at, { code, type: "FieldValueInvalid", message, cure }));
  };
  const { name, ports, masquerade } = nic.nic;
  if (!nic.subject.settings.gates.has("PortRangesSpec")) {
    refuse(
      "PB2073",
      ["name"],
      `The interface "${name}" has portRanges, and the feature gate PortRangesSpec is not open.`,
      "Add PortRangesSpec to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.",
    );
  }
  if (nic.network?.pod === undefined) return problems;
  if (ports !== undefined) {
    refuse("PB2074", ["name"], `The interface "${name}" has both ports and portRanges.`, "Keep one of them.");
  }
  if (masquerade === undefined) {
    refuse(
      "PB2075",
      ["name"],
      `The interface "${name}" has portRanges without masquerade.`,
      "Use masquerade, or ports.",
    );
  }
  if (ranges.length > MOST_RANGES) {
    const message = `The interface "${name}" has ${ranges.length} port ranges, more than ${MOST_RANGES}.`;
    refuse("PB2076", ["portRanges"], message, "Join ranges that touch.");
    return problems;
  }
  const sound: { readonly range: Bounds; readonly protocol: string }[] = [];
  for (const [index, { protocol = "", start = 0, end = 0 }] of ranges.entries()) {
    const at = ["portRanges", index];
    if (protocol !== "TCP" && protocol !== "UDP") {
      const message = `The protocol "${protocol}" of a port range cannot be forwarded.`;
      refuse("PB2077", [...at, "protocol"], message, "Use TCP or UDP.");
    } else if (!isPort(start)) {
      refuse("PB2078", [...at, "start"], `A port range cannot start at ${start}.`, "Use 1 to 65535.");
    } else if (!isPort(end)) {
      refuse("PB2079", [...at, "end"], `A port range cannot end at ${end}.`, "Use 1 to 65535.");
    } else if (start > end) {
      refuse("PB2080", [...at, "start"], `A port range starts at ${start}, after its end ${end}.`, "Swap them.");
    } else {
      sound.push({ range: { start, end }, protocol });
    }
  }
  for (const protocol of ["TCP", "UDP"]) {
    const sorted = sound
      .filter((entry) => entry.protocol === protocol)
      .map(({ range }) => range)
      .toSorted((one, other) => one.start - other.start || one.end - other.end);
    for (const [index, range] of sorted.entries()) {
      const before = index === 0 ? undefined : sorted[index - 1];
      if (before === undefined || before.end < range.start) continue;
      const message = `The ${protocol} port ranges ${before.start}-${before.end} and ${range.start}-${range.end} overlap.`;
      refuse("PB2081", ["portRanges"], message, "Join them.");
    }
  }
  return problems;
}

interface Bounds {
  readonly start: number;
  readonly end: number;
}

function isPort(number: number): boolean {
  return number >= 1 && number <= 65535;
}

import type { AdmissionResponse, StatusCause } from "../api/admission.ts";
import { canonicalJson } from "../api/canonical-json.ts";
import { fieldPath } from "../api/field-path.ts";
import type { KubeObject } from "../api/resource.ts";
import { type JudgedKind, judge } from "./judge.ts";
import type { Problem } from "./problem.ts";
import { settingsOf } from "./settings.ts";

/** Kubernetes shows no more causes than this well, and KubeVirt answers with no more. */
const MOST_TOLD = 10;

/** A VirtualMachineInstance that is to be created: with its defaults, or refused with every cause. */
export function admitVmi(object: KubeObject, configuration?: unknown): AdmissionResponse {
  return admit("VirtualMachineInstance", object, configuration);
}

/** A VirtualMachine that is to be created or changed. */
export function admitVm(object: KubeObject, configuration?: unknown): AdmissionResponse {
  return admit("VirtualMachine", object, configuration);
}

/**
 * A change of a VirtualMachineInstance: its spec stays as it is, whoever asks.
 *
 * `old` and `next` differ in metadata or status at most.
 */
export function admitVmiUpdate(old: KubeObject, next: KubeObject): AdmissionResponse {
  if (canonicalJson(old["spec"]) === canonicalJson(next["spec"])) return { allowed: true, object: next, warnings: [] };
  const message = "PB2093: The spec of a VirtualMachineInstance cannot be changed. Delete it and create it anew.";
  return {
    allowed: false,
    status: 422,
    reason: "Invalid",
    message,
    causes: [{ reason: "FieldValueNotSupported", message, field: "spec" }],
    warnings: [],
  };
}

function admit(kind: JudgedKind, object: KubeObject, configuration: unknown): AdmissionResponse {
  const { problems, advice, defaulted } = judge(kind, object, configuration);
  const { invalid } = settingsOf(configuration);
  const warnings = [
    ...(invalid === undefined ? [] : [`PB2304: The configuration counts as empty: ${invalid.reason}.`]),
    ...advice.map((problem) => `${problem.field}: ${cause(problem).message}`),
  ];
  if (problems.length === 0) return { allowed: true, object: { ...object, ...defaulted } as KubeObject, warnings };
  const causes = problems.map(cause);
  const told = causes.slice(0, MOST_TOLD).map(({ message }) => message);
  const more = causes.length > MOST_TOLD ? ` (and ${causes.length - MOST_TOLD} more)` : "";
  return {
    allowed: false,
    status: 422,
    reason: "Invalid",
    message: told.join(" ") + more,
    causes,
    warnings,
  };
}

/** kubectl shows `field: message` of each cause: where KubeVirt names no field, the one at fault is named. */
function cause({ type, field, at, code, message, cure }: Problem): StatusCause {
  return {
    reason: type === "" ? "FieldValueInvalid" : type,
    message: `${code}: ${message}${cure === undefined ? "" : ` ${cure}`}`,
    field: field || fieldPath(at) || "spec",
  };
}

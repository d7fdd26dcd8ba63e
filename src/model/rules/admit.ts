import type { AdmissionResponse, StatusCause } from "../api/admission.ts";
import { canonicalJson } from "../api/canonical-json.ts";
import { fieldPath } from "../api/field-path.ts";
import type { KubeObject } from "../api/resource.ts";
import { type JudgedKind, judge } from "./judge.ts";
import { differInLinksOnly } from "./link-state.ts";
import type { Problem } from "./problem.ts";
import { settingsOf } from "./settings.ts";
import { withSpoofGuardOf } from "./spoof-guard.ts";

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
 * A change of a VirtualMachineInstance: its spec stays as it is, whoever asks, but for the links of its NICs, which may go
 * up and down while it runs (reference 8.5).
 */
export function admitVmiUpdate(old: KubeObject, next: KubeObject, configuration?: unknown): AdmissionResponse {
  const allowed: AdmissionResponse = { allowed: true, object: next, warnings: [] };
  if (canonicalJson(old["spec"]) === canonicalJson(next["spec"])) return allowed;
  if (differInLinksOnly(old["spec"], next["spec"])) {
    // What else a manifest must satisfy it did when it was made; the settings may have changed since.
    const { problems } = judge("VirtualMachineInstance", next, configuration);
    const causes = problems.filter(({ at }) => at.at(-1) === "state").map(cause);
    return causes.length === 0 ? allowed : refused(causes);
  }
  const message =
    "PB2093: The spec of a VirtualMachineInstance cannot be changed, but for the state of its interfaces, up or down. Delete it and create it anew.";
  return refused([{ reason: "FieldValueNotSupported", message, field: "spec" }]);
}

function refused(causes: readonly StatusCause[]): AdmissionResponse {
  const message = causes.map((one) => one.message).join(" ");
  return { allowed: false, status: 422, reason: "Invalid", message, causes, warnings: [] };
}

function admit(kind: JudgedKind, object: KubeObject, configuration: unknown): AdmissionResponse {
  const { problems, advice, defaulted } = judge(kind, object, configuration);
  const { invalid } = settingsOf(configuration);
  const warnings = [
    ...(invalid === undefined ? [] : [`PB2304: The configuration counts as empty: ${invalid.reason}.`]),
    ...advice.map((problem) => `${problem.field}: ${cause(problem).message}`),
  ];
  if (problems.length === 0) {
    const whole = { ...object, ...defaulted } as KubeObject;
    return { allowed: true, object: kind === "VirtualMachine" ? whole : guarded(whole, configuration), warnings };
  }
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

/** With the annotation that the settings in force give it, so that they govern this guest whatever they become. */
function guarded(object: KubeObject, configuration: unknown): KubeObject {
  const { annotations = {} } = object.metadata;
  const given = withSpoofGuardOf(annotations, settingsOf(configuration));
  return given === annotations ? object : { ...object, metadata: { ...object.metadata, annotations: given } };
}

/** kubectl shows `field: message` of each cause: where KubeVirt names no field, the one at fault is named. */
function cause({ type, field, at, code, message, cure }: Problem): StatusCause {
  return {
    reason: type === "" ? "FieldValueInvalid" : type,
    message: `${code}: ${message}${cure === undefined ? "" : ` ${cure}`}`,
    field: field || fieldPath(at) || "spec",
  };
}

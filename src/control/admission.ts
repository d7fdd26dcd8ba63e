import type { Admission, AdmissionRequest, AdmissionResponse } from "../model/api/admission.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { withDefaults } from "../model/rules/defaults.ts";
import { settingsOf } from "../model/rules/settings.ts";
import { VMI_FINALIZER } from "./vmi-decision.ts";

/** Defaults and rules of KubeVirt's resources, for an API server to ask. `configuration` gives the settings in force. */
export function makeAdmission(configuration: () => unknown): Admission {
  return (request) => Promise.resolve(admit(request, configuration()));
}

function admit(request: AdmissionRequest, configuration: unknown): AdmissionResponse {
  const { object, kind, operation } = request;
  if (kind !== "VirtualMachineInstance" || operation !== "CREATE") return { allowed: true, object, warnings: [] };
  const defaulted = withDefaults((object as unknown as VirtualMachineInstance).spec, settingsOf(configuration));
  if (!defaulted.done) {
    const { code, message, cure } = defaulted.problem;
    return {
      allowed: false,
      status: 422,
      reason: "Invalid",
      message: `${code}: ${message} ${cure ?? ""}`,
      causes: [],
      warnings: [],
    };
  }
  return { allowed: true, object: withFinalizer({ ...object, spec: defaulted.spec }), warnings: [] };
}

/** Held until the controller has given the VMI's pods back. */
function withFinalizer(object: KubeObject): KubeObject {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(VMI_FINALIZER)) return object;
  return { ...object, metadata: { ...object.metadata, finalizers: [...finalizers, VMI_FINALIZER] } };
}

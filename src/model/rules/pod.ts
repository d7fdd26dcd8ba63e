import type { AdmissionResponse } from "../api/admission.ts";
import { canonicalJson } from "../api/canonical-json.ts";
import type { KubeObject } from "../api/resource.ts";
import { isJsonObject, type JsonObject, objectAt } from "../json.ts";
import { LAUNCHER_LABEL, LAUNCHER_LABEL_VALUE } from "../pods/launcher-pod.ts";
import { podSpecCauses } from "./pod-spec.ts";

/** Without something that runs it, silence would look like a node that is stuck. */
const NOT_RUN = "This version of Patchbay runs the pods of VMIs only: this one stays Pending.";

/** What of a pod's spec may change (API reference, Pod update and replacement). */
const MAY_CHANGE = ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"];

/** A Pod that is to be created, or whose spec is to change: little of it may, and a node is given once. */
export function admitPod(pod: KubeObject, oldPod: KubeObject | undefined): AdmissionResponse {
  if (oldPod === undefined) {
    const isLauncher = pod.metadata.labels?.[LAUNCHER_LABEL] === LAUNCHER_LABEL_VALUE;
    // Who asks for pods by their phase finds it from the beginning.
    const waiting = { ...pod, status: { phase: "Pending" } };
    if (isLauncher) return { allowed: true, object: waiting, warnings: [] };
    const causes = podSpecCauses(objectAt(pod, "spec"));
    return causes.length === 0
      ? { allowed: true, object: waiting, warnings: [NOT_RUN] }
      : { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: [] };
  }
  const [spec, earlier] = [objectAt(pod, "spec"), objectAt(oldPod, "spec")];
  if (canonicalJson(fixedPart(spec, earlier)) === canonicalJson(fixedPart(earlier, earlier))) {
    return { allowed: true, object: pod, warnings: [] };
  }
  const message =
    "Forbidden: of a pod's spec only containers[*].image, activeDeadlineSeconds, tolerations and terminationGracePeriodSeconds may change, and nodeName where it is not given yet";
  const causes = [{ reason: "FieldValueForbidden", message, field: "spec" }];
  return { allowed: false, status: 422, reason: "Invalid", message, causes, warnings: [] };
}

function fixedPart(spec: JsonObject, earlier: JsonObject): JsonObject {
  const loose = earlier["nodeName"] === undefined ? [...MAY_CHANGE, "nodeName"] : MAY_CHANGE;
  const kept = Object.entries(spec).filter(([field]) => !loose.includes(field));
  return Object.fromEntries(kept.map(([field, value]) => [field, isContainers(field) ? withoutImages(value) : value]));
}

function isContainers(field: string): boolean {
  return field === "containers" || field === "initContainers";
}

function withoutImages(containers: unknown): unknown {
  if (!Array.isArray(containers)) return containers;
  return containers.map((container: unknown) => (isJsonObject(container) ? { ...container, image: "" } : container));
}

import type { Admission, AdmissionRequest, AdmissionResponse, StatusCause } from "../model/api/admission.ts";
import { canonicalJson } from "../model/api/canonical-json.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { admitVm, admitVmi, admitVmiUpdate } from "../model/rules/admit.ts";
import { admitClaim } from "../model/rules/claim.ts";
import { admitData } from "../model/rules/data-objects.ts";
import { admitEndpointSlice } from "../model/rules/endpoint-slice.ts";
import { admitPod } from "../model/rules/pod.ts";
import { admitService } from "../model/rules/service.ts";
import { admitSriov } from "../model/rules/sriov.ts";
import { judgeOwnAnnotations } from "./own-annotations.ts";
import { VMI_FINALIZER } from "./vmi-decision.ts";

/** Defaults and rules of KubeVirt's resources, for an API server to ask. `configuration` gives the settings in force. */
export function makeAdmission(configuration: () => Promise<unknown>): Admission {
  return async (request) => admit(request, isJudged(request) ? await configuration() : undefined);
}

/** Whether the settings matter for it. */
function isJudged({ group, kind }: AdmissionRequest): boolean {
  return group === "kubevirt.io" && (kind === "VirtualMachineInstance" || kind === "VirtualMachine");
}

function admit(request: AdmissionRequest, configuration: unknown): AdmissionResponse {
  const { object, oldObject, group, kind, operation, subresource } = request;
  const asItIs: AdmissionResponse = { allowed: true, object, warnings: [] };
  if (operation === "DELETE" || subresource !== undefined || (isLeaving(object) && saysTheSame(object, oldObject)))
    return asItIs;
  // With the group: users may have kinds of the same name.
  switch (group === "" ? kind : `${group}/${kind}`) {
    case "kubevirt.io/VirtualMachineInstance": {
      const causes = judgeOwnAnnotations(object);
      if (causes.length > 0) return unreadable(causes);
      if (operation === "UPDATE")
        return oldObject === undefined ? asItIs : admitVmiUpdate(oldObject, object, configuration);
      const answer = admitVmi(object, configuration);
      return answer.allowed ? { ...answer, object: withFinalizer(answer.object) } : answer;
    }
    case "kubevirt.io/VirtualMachine":
      return admitVm(object, configuration);
    case "sriovnetwork.openshift.io/SriovNetworkNodePolicy":
    case "sriovnetwork.openshift.io/SriovNetwork":
      return admitSriov(object);
    case "Service":
      return admitService(object);
    case "ConfigMap":
    case "Secret":
      return admitData(object, oldObject);
    case "PersistentVolumeClaim":
      return admitClaim(object, oldObject);
    case "discovery.k8s.io/EndpointSlice":
      return admitEndpointSlice(object, oldObject);
    case "Pod":
      return admitPod(object, oldObject);
    default:
      return asItIs;
  }
}

/** On the way out nothing more is asked of an object, or what it breaks by now could never go. */
function isLeaving({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined;
}

/** True where nothing differs but metadata. */
function saysTheSame(object: KubeObject, oldObject: KubeObject | undefined): boolean {
  return canonicalJson({ ...object, metadata: {} }) === canonicalJson({ ...oldObject, metadata: {} });
}

function unreadable(causes: readonly StatusCause[]): AdmissionResponse {
  const message = causes.map((cause) => cause.message).join(" ");
  return { allowed: false, status: 422, reason: "Invalid", message, causes, warnings: [] };
}

/** Held until the controller has given the VMI's pods back. */
function withFinalizer(object: KubeObject): KubeObject {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(VMI_FINALIZER)) return object;
  return { ...object, metadata: { ...object.metadata, finalizers: [...finalizers, VMI_FINALIZER] } };
}

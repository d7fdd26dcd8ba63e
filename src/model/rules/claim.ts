import type { AdmissionResponse, StatusCause } from "../api/admission.ts";
import { canonicalJson } from "../api/canonical-json.ts";
import type { PersistentVolumeClaim } from "../api/claim.ts";
import type { KubeObject } from "../api/resource.ts";
import type { Stored } from "../api/stored.ts";
import { sentence } from "../fault.ts";
import { parseQuantity } from "../guest/quantity.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../json.ts";
import { CLAIM_FINALIZER, unprovidable } from "../pods/claims.ts";

const REQUESTED = "spec.resources.requests.storage";

/**
 * A PersistentVolumeClaim that is to be created or changed, judged as Kubernetes judges it (API reference,
 * PersistentVolumeClaimSpec): with its finalizer, or refused; its shape is right already. One that this machine does not
 * provide is taken all the same, with a warning.
 */
export function admitClaim(claim: KubeObject, oldClaim: KubeObject | undefined): AdmissionResponse {
  const spec = objectAt(claim, "spec");
  const causes = [
    ...modeCauses(spec),
    ...sizeCauses(spec),
    ...(oldClaim === undefined ? [] : changeCauses(spec, objectAt(oldClaim, "spec"))),
  ];
  if (causes.length > 0) {
    return { allowed: false, status: 422, reason: "Invalid", message: "", causes, warnings: [] };
  }
  if (oldClaim !== undefined) return { allowed: true, object: claim, warnings: [] };
  const fault = unprovidable(claim as KubeObject & Stored<PersistentVolumeClaim>);
  const warnings = fault === undefined ? [] : [`${fault.code}: ${sentence(fault)}`];
  return { allowed: true, object: withFinalizer(claim), warnings };
}

function modeCauses(spec: JsonObject): StatusCause[] {
  const modes = Array.isArray(spec["accessModes"]) ? spec["accessModes"] : [];
  if (modes.length === 0) return [required("spec.accessModes", "a claim has an access mode, such as ReadWriteOnce")];
  return modes.includes("ReadWriteOncePod") && new Set(modes).size > 1
    ? [forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes")]
    : [];
}

function sizeCauses(spec: JsonObject): StatusCause[] {
  const asked = requested(spec);
  if (asked === undefined) return [required(REQUESTED, "a claim says how large it is to be, such as 10Gi")];
  return (parseQuantity(asked) ?? 0n) > 0n
    ? []
    : [
        {
          reason: "FieldValueInvalid",
          field: REQUESTED,
          message: `Invalid value: "${asked}": must be greater than zero`,
        },
      ];
}

function changeCauses(spec: JsonObject, earlier: JsonObject): StatusCause[] {
  // Who provides the storage names the volume, once.
  const isNamed = textAt(earlier, "volumeName") !== undefined;
  const fixed = ({ volumeName, resources, ...rest }: JsonObject): JsonObject =>
    isNamed ? { ...rest, volumeName } : rest;
  const [size, before] = [requested(spec), requested(earlier)].map((text) => parseQuantity(text ?? ""));
  return [
    ...(canonicalJson(fixed(spec)) === canonicalJson(fixed(earlier))
      ? []
      : [forbidden("spec", "the spec of a claim is immutable: delete it, and apply another one")]),
    ...(size === before
      ? []
      : [
          forbidden(
            REQUESTED,
            "this machine resizes no claim: make a larger one, and copy the one image into the other while no guest uses it",
          ),
        ]),
  ];
}

function requested(spec: JsonObject): string | undefined {
  const { requests } = objectAt(spec, "resources");
  const storage = isJsonObject(requests) ? requests["storage"] : undefined;
  return storage === undefined ? undefined : String(storage);
}

function withFinalizer(claim: KubeObject): KubeObject {
  const { finalizers = [] } = claim.metadata;
  if (finalizers.includes(CLAIM_FINALIZER)) return claim;
  return { ...claim, metadata: { ...claim.metadata, finalizers: [...finalizers, CLAIM_FINALIZER] } };
}

function required(field: string, why: string): StatusCause {
  return { reason: "FieldValueRequired", field, message: `Required value: ${why}` };
}

function forbidden(field: string, why: string): StatusCause {
  return { reason: "FieldValueForbidden", field, message: `Forbidden: ${why}` };
}

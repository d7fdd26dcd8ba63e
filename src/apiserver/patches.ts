import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, objectAt } from "../model/json.ts";
import { applyJsonPatch, applyMergePatch } from "./json-patch.ts";
import { badRequest, unsupportedMediaType } from "./refusals.ts";
import { applyStrategicMerge, mergesStrategically } from "./strategic-merge.ts";

const JSON_PATCH = "application/json-patch+json";
const MERGE_PATCH = "application/merge-patch+json";
const STRATEGIC_PATCH = "application/strategic-merge-patch+json";
const APPLY_PATCH = ["application/apply-patch+yaml", "application/apply-patch+cbor"];

/**
 * What a patch of this media type makes of an object.
 *
 * @throws ApiError 415 where the resource takes no such patch, 400 where the patch has not the form of one.
 */
export function readPatch(
  definition: ResourceDefinition,
  mediaType: string,
  patch: unknown,
): (current: KubeObject) => unknown {
  const taken = mergesStrategically(definition)
    ? [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH]
    : [JSON_PATCH, MERGE_PATCH];
  if (APPLY_PATCH.includes(mediaType)) {
    throw unsupportedMediaType(
      `this server does not take server-side apply yet; use client-side apply (kubectl apply without --server-side) or one of ${taken.join(", ")}`,
    );
  }
  if (!taken.includes(mediaType)) {
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${taken.join(", ")}`,
    );
  }
  if (mediaType === JSON_PATCH) return (current) => applyJsonPatch(current, patch);
  if (!isJsonObject(patch)) throw badRequest("the patch must be an object");
  return mediaType === MERGE_PATCH
    ? (current) => applyMergePatch(current, patch)
    : (current) => applyStrategicMerge(current, patch);
}

/** True where the patch says which resourceVersion it is made for. */
export function namesRevision(patch: unknown): boolean {
  if (Array.isArray(patch)) {
    return patch.some((operation) => isJsonObject(operation) && operation["path"] === "/metadata/resourceVersion");
  }
  return isJsonObject(patch) && objectAt(patch, "metadata")["resourceVersion"] !== undefined;
}

import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, objectAt, textAt } from "../model/json.ts";
import { applyJsonPatch, applyMergePatch } from "./json-patch.ts";
import { badRequest, unsupportedMediaType } from "./refusals.ts";
import { applyStrategicMerge, mergesStrategically } from "./strategic-merge.ts";

const JSON_PATCH = "application/json-patch+json";
const MERGE_PATCH = "application/merge-patch+json";
const STRATEGIC_PATCH = "application/strategic-merge-patch+json";
const APPLY_PATCH = "application/apply-patch+yaml";

/** True where the media type asks for server-side apply. @throws ApiError 415 where the resource takes no such patch. */
export function isApply(definition: ResourceDefinition, mediaType: string): boolean {
  const taken = patchTypes(definition);
  if (taken.includes(mediaType)) return mediaType === APPLY_PATCH;
  throw unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: ${taken.join(", ")}`,
  );
}

/** Media types of the patches that a resource takes. */
export function patchTypes(definition: ResourceDefinition): readonly string[] {
  return [JSON_PATCH, MERGE_PATCH, ...(mergesStrategically(definition) ? [STRATEGIC_PATCH] : []), APPLY_PATCH];
}

/**
 * What a patch of a media type that {@link isApply} let through makes of an object.
 *
 * @throws ApiError 400 where the patch has not the form of one.
 */
export function readPatch(mediaType: string, patch: unknown): (current: KubeObject) => unknown {
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
  return isJsonObject(patch) && textAt(objectAt(patch, "metadata"), "resourceVersion") !== undefined;
}

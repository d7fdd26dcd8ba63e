import type { AdmissionRequest } from "../model/api/admission.ts";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { ApiError, failure } from "../model/api/status.ts";
import type { Machinery, WriteOptions } from "./machinery.ts";
import { withWarnings } from "./refusal-warnings.ts";
import { forbidden, invalid } from "./refusals.ts";

/**
 * Asks admission about one write: the object as it is to be stored, and warnings.
 *
 * @throws ApiError as admission words its refusal.
 */
export async function admit(
  machinery: Machinery,
  definition: ResourceDefinition,
  options: Pick<WriteOptions, "user" | "dryRun">,
  request: Pick<AdmissionRequest, "operation" | "object" | "oldObject">,
): Promise<{ object: KubeObject; warnings: readonly string[] }> {
  const { metadata } = request.object;
  const response = await machinery.admission({
    ...request,
    group: definition.group,
    version: definition.version,
    kind: definition.kind,
    plural: definition.plural,
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    name: metadata.name,
    user: options.user,
    dryRun: options.dryRun,
  });
  if (response.allowed) return { object: response.object, warnings: response.warnings };
  const { name } = metadata;
  if (response.status === 422 && response.causes.length > 0) {
    throw withWarnings(invalid(definition, name, response.causes), response.warnings);
  }
  if (response.status === 403) {
    throw withWarnings(forbidden(definition, name, response.message, response.causes), response.warnings);
  }
  const status = failure(response.status, response.reason, response.message, {
    name,
    ...(definition.group === "" ? {} : { group: definition.group }),
    kind: definition.plural,
    causes: response.causes,
  });
  throw withWarnings(new ApiError("PB6010", status), response.warnings);
}

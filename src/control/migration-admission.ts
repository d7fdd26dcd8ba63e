import type { KubeClient } from "../client/client.ts";
import type { Admission, AdmissionRequest, AdmissionResponse } from "../model/api/admission.ts";
import { vmiResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { objectAt, textAt } from "../model/json.ts";
import { admitMigration, admitMigrationUpdate, type MigrationSurroundings } from "../model/rules/migration.ts";

const migrationResource = {
  group: "kubevirt.io",
  version: "v1",
  plural: "virtualmachineinstancemigrations",
  namespaced: true,
} as const;

/** Without something that carries them out, silence would look like a hang. */
const NOT_CARRIED_OUT =
  "This version of Patchbay stores a VirtualMachineInstanceMigration and moves nothing: the guest stays where it is.";

/**
 * Judges migrations, which depend on the VMI that they name and on one another, and asks `next` about all else.
 *
 * `client` reads from the API that asks.
 */
export function withMigrations(next: Admission, client: () => Pick<KubeClient, "get" | "list">): Admission {
  return async (request) => {
    const { kind, group, operation, subresource, object, oldObject } = request;
    const isMigration = kind === "VirtualMachineInstanceMigration" && group === migrationResource.group;
    if (!isMigration || operation === "DELETE" || subresource !== undefined) return next(request);
    if (oldObject !== undefined) return admitMigrationUpdate(oldObject, object);
    try {
      const answer = admitMigration(object, await surroundings(request, client()));
      return answer.allowed ? { ...answer, warnings: [...answer.warnings, NOT_CARRIED_OUT] } : answer;
    } catch (thrown) {
      if (!isApiError(thrown)) throw thrown;
      return unanswered(thrown);
    }
  };
}

async function surroundings(
  { object, namespace = "" }: AdmissionRequest,
  client: Pick<KubeClient, "get" | "list">,
): Promise<MigrationSurroundings> {
  const name = textAt(objectAt(object, "spec"), "vmiName");
  const vmi = name === undefined ? undefined : await found(client.get(vmiResource, { namespace, name }));
  const migrations = await client.list(migrationResource, { namespace });
  // For the near miss of a name that is not there.
  const vmis = vmi === undefined && name !== undefined ? (await client.list(vmiResource, { namespace })).items : [];
  return { vmi, vmiNames: vmis.map(({ metadata }) => metadata.name), migrations: migrations.items };
}

async function found(call: Promise<KubeObject>): Promise<KubeObject | undefined> {
  try {
    return await call;
  } catch (thrown) {
    if (isApiError(thrown, "NotFound")) return undefined;
    throw thrown;
  }
}

function unanswered({ message: why }: Error): AdmissionResponse {
  const message = `the migration could not be judged, for its VMI could not be read (${why}); try again`;
  return { allowed: false, status: 503, reason: "ServiceUnavailable", message, causes: [], warnings: [] };
}

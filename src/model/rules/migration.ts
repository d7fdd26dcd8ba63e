import type { AdmissionResponse } from "../api/admission.ts";
import { canonicalJson } from "../api/canonical-json.ts";
import type { KubeObject } from "../api/resource.ts";
import type { Code } from "../codes/codes.ts";
import { isJsonObject, objectAt, textAt } from "../json.ts";
import { nearMiss } from "../near-miss.ts";

/** What lies around a migration in its namespace. */
export interface MigrationSurroundings {
  /** The VMI that it names, where there is one. */
  readonly vmi: KubeObject | undefined;
  readonly vmiNames: readonly string[];
  readonly migrations: readonly KubeObject[];
}

/** Label by which migrations of a VMI are found, as KubeVirt sets it. */
const VMI_LABEL = "kubevirt.io/vmi-name";
const ENDED = ["Succeeded", "Failed"];

/** Name of the VMI that a migration names. */
export function migratedVmi(migration: KubeObject): string | undefined {
  return textAt(objectAt(migration, "spec"), "vmiName");
}

/**
 * A VirtualMachineInstanceMigration that is to be created: with its label, or refused as KubeVirt refuses it: R94, and
 * a VMI that is not there, has ended or is on its way already.
 */
export function admitMigration(migration: KubeObject, surroundings: MigrationSurroundings): AdmissionResponse {
  const name = migratedVmi(migration);
  if (name === undefined) {
    const message = "PB2441: Required value: say in spec.vmiName which VMI is to be migrated.";
    return refused(422, "Invalid", message, { reason: "FieldValueRequired", message, field: "spec.vmiName" });
  }
  const { vmi, vmiNames, migrations } = surroundings;
  if (vmi === undefined) {
    const near = nearMiss(name, vmiNames);
    const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
    return plain("PB2442", `There is no VMI "${name}" in this namespace.${hint}`);
  }
  const phase = textAt(objectAt(vmi, "status"), "phase") ?? "";
  if (ENDED.includes(phase) || vmi.metadata.deletionTimestamp !== undefined) {
    return plain("PB2442", `The VMI "${name}" has ended or is about to: nothing of it is left to migrate.`);
  }
  const fixed = conditionOf(vmi, "LiveMigratable");
  if (fixed?.status === "False") {
    return plain("PB2094", `Cannot migrate VMI, Reason: ${fixed.reason}, Message: ${fixed.message}`);
  }
  const other = migrations.find((each) => migratedVmi(each) === name && !hasEnded(each));
  if (other !== undefined) {
    return plain(
      "PB2443",
      `The VMI "${name}" is being migrated by "${other.metadata.name}": wait for its end, or delete it.`,
    );
  }
  const labels = { ...migration.metadata.labels, [VMI_LABEL]: name };
  return { allowed: true, object: { ...migration, metadata: { ...migration.metadata, labels } }, warnings: [] };
}

/** A change of a migration: its spec stays as it is. */
export function admitMigrationUpdate(old: KubeObject, next: KubeObject): AdmissionResponse {
  if (canonicalJson(old["spec"]) === canonicalJson(next["spec"])) return { allowed: true, object: next, warnings: [] };
  const message = "PB2444: The spec of a migration cannot be changed. Delete it and create another one.";
  return refused(422, "Invalid", message, { reason: "FieldValueNotSupported", message, field: "spec" });
}

function hasEnded(migration: KubeObject): boolean {
  return ENDED.includes(textAt(objectAt(migration, "status"), "phase") ?? "");
}

function conditionOf(
  object: KubeObject,
  type: string,
): { status: string; reason: string; message: string } | undefined {
  const { conditions } = objectAt(object, "status");
  const found = Array.isArray(conditions)
    ? conditions.filter(isJsonObject).find((each) => each["type"] === type)
    : undefined;
  if (found === undefined) return undefined;
  const word = (key: string) => textAt(found, key) ?? "";
  return { status: word("status"), reason: word("reason"), message: word("message") };
}

/** KubeVirt answers these without a cause. */
function plain(code: Code, message: string): AdmissionResponse {
  return refused(400, "BadRequest", `${code}: ${message}`);
}

function refused(
  status: number,
  reason: string,
  message: string,
  ...causes: readonly { reason: string; message: string; field: string }[]
): AdmissionResponse {
  return { allowed: false, status, reason, message, causes, warnings: [] };
}

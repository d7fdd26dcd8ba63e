import type { VmiSpec } from "../api/vmi.ts";
import type { Volume } from "../api/volumes.ts";
import type { NicContext } from "../bindings/binding.ts";
import { bindingOf } from "../bindings/registry.ts";
import type { ClaimUse } from "../pods/claims.ts";
import type { ConditionClaim } from "./conditions.ts";

/**
 * The condition LiveMigratable of a guest that runs with these volumes and NICs, in KubeVirt's order: disks that only this
 * machine has come before NICs. `claims` are those of its volumes.
 */
export function liveMigratable(
  volumes: readonly Volume[],
  claims: readonly ClaimUse[],
  nics: readonly NicContext[],
): ConditionClaim {
  const type = "LiveMigratable";
  const disks = volumes.flatMap((volume) => fixedDisk(volume, claims) ?? []);
  if (disks.length > 0) return { type, status: "False", reason: "DisksNotLiveMigratable", message: disks.join(" ") };
  const fixed = nics.flatMap((nic) => {
    const verdict = bindingOf(nic.binding).migration(nic);
    return verdict.migratable ? [] : [verdict.reason];
  });
  return fixed.length === 0
    ? { type, status: "True" }
    : { type, status: "False", reason: "InterfaceNotLiveMigratable", message: fixed.join(" ") };
}

/**
 * `status.migrationMethod` of a guest that runs with these volumes, as KubeVirt sets it beside that condition and whatever
 * the condition says: disks are copied unless another node has them, or they are in a CD-ROM drive that is only read.
 */
export function migrationMethod(
  { domain, volumes = [] }: Pick<VmiSpec, "domain" | "volumes">,
  claims: readonly ClaimUse[],
): "LiveMigration" | "BlockMigration" {
  const discs = (domain.devices.disks ?? []).filter(({ cdrom }) => cdrom !== undefined && cdrom.readonly !== false);
  const isThere = (volume: Volume): boolean =>
    (volume.persistentVolumeClaim ?? volume.hostDisk) === undefined
      ? discs.some(({ name }) => name === volume.name)
      : fixedDisk(volume, claims) === undefined;
  return volumes.every(isThere) ? "LiveMigration" : "BlockMigration";
}

/** Why a volume cannot be left behind, nor be had on another node; copies and what is thrown away can be made there. */
function fixedDisk({ name, persistentVolumeClaim, hostDisk }: Volume, claims: readonly ClaimUse[]): string | undefined {
  if (hostDisk !== undefined && hostDisk.shared !== true) {
    return `The host disk of the volume "${name}" is not shared: other nodes do not have it.`;
  }
  if (persistentVolumeClaim === undefined) return undefined;
  const { claimName } = persistentVolumeClaim;
  if (claims.some((use) => use.name === claimName && use.shared)) return undefined;
  return `The claim "${claimName}" of the volume "${name}" is not shared: its access modes lack ReadWriteMany.`;
}

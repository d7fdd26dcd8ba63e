import type { VmiSpec } from "../api/vmi.ts";
import type { VolumeStatus } from "../api/vmi-status.ts";
import { diskTargets } from "../guest/disk-targets.ts";
import { diskBus } from "../guest/hardware-request.ts";
import type { ClaimUse } from "../pods/claims.ts";

/**
 * `status.volumeStatus` of a guest that runs: its volumes by their names, as KubeVirt sorts them, each with the device of
 * its disk in the domain, and the claim that it is. `claims` are those of its volumes.
 */
export function volumeStatuses(
  { domain, volumes = [] }: Pick<VmiSpec, "domain" | "volumes">,
  claims: readonly ClaimUse[],
): readonly VolumeStatus[] {
  const targets = diskTargets(
    (domain.devices.disks ?? []).flatMap((disk) => {
      const bus = diskBus(disk);
      return bus === undefined ? [] : [{ name: disk.name, bus }];
    }),
  );
  return volumes
    .map(({ name }): VolumeStatus => {
      const info = claims.find(({ disk }) => disk === name)?.info;
      const target = targets.get(name) ?? "";
      return { name, target, ...(info === undefined ? {} : { persistentVolumeClaimInfo: info }) };
    })
    .toSorted(({ name: one = "" }, { name: other = "" }) => (one < other ? -1 : 1));
}

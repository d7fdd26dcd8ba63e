import type { Domain } from "../api/domain.ts";
import type { FieldPath } from "../api/field-path.ts";
import type { VmiSpec } from "../api/vmi.ts";
import type { Volume } from "../api/volumes.ts";

/** Devices that stand for hardware of this machine, or for programs beside QEMU: a guest without them would be another one. */
export const UNMADE_DEVICES = ["gpus", "hostDevices", "filesystems", "tpm", "downwardMetrics"] as const;
/** Kinds of volumes that a cluster has, and no single machine. */
const UNMADE_VOLUMES = [
  "dataVolume",
  "serviceAccount",
  "downwardAPI",
  "downwardMetrics",
  "memoryDump",
] as const satisfies readonly (keyof Volume)[];
const UNMADE_DISKS = ["lun", "floppy"] as const;

/** A device of that name that is asked for. */
export function unmadeDevice(devices: Domain["devices"], name: (typeof UNMADE_DEVICES)[number]): boolean {
  const asked = devices[name];
  return asked !== undefined && !(Array.isArray(asked) && asked.length === 0);
}

/** What no guest is given here, by its place below the spec: a guest that asks for it is not started (PB5070, PB5077). */
export function unmadeIn({ domain, volumes = [] }: Pick<VmiSpec, "domain" | "volumes">): readonly FieldPath[] {
  const { devices, launchSecurity } = domain;
  return [
    ...(launchSecurity === undefined ? [] : [["domain", "launchSecurity"]]),
    ...UNMADE_DEVICES.filter((name) => unmadeDevice(devices, name)).map((name) => ["domain", "devices", name]),
    ...(devices.disks ?? []).flatMap((disk, index) =>
      UNMADE_DISKS.filter((kind) => disk[kind] !== undefined).map((kind) => [
        "domain",
        "devices",
        "disks",
        index,
        kind,
      ]),
    ),
    ...volumes.flatMap((volume, index) =>
      UNMADE_VOLUMES.filter((kind) => volume[kind] !== undefined).map((kind) => ["volumes", index, kind]),
    ),
  ];
}

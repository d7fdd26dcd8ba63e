import type { Domain } from "../api/domain.ts";
import type { GuestNic } from "../wiring/wiring.ts";
import type { DiskBus, HardwareRequest } from "./hardware.ts";
import { memoryOf, topologyOf } from "./topology.ts";

/** What the QEMU of a node offers. */
export type Offered = Pick<HardwareRequest, "accel" | "machines" | "devices">;

type Disk = NonNullable<Domain["devices"]["disks"]>[number];

/** Those that this version plugs disks into. */
export const DISK_BUSES: readonly DiskBus[] = ["virtio", "sata", "scsi", "usb"];

/**
 * What the hardware of a guest is decided from: the same for a plan as for the node that starts it, so that what the one
 * approves the other does not refuse.
 */
export function hardwareRequest(
  domain: Domain,
  nics: readonly GuestNic[],
  { accel, machines, devices }: Offered,
): HardwareRequest {
  return {
    accel,
    machines,
    devices,
    ...(domain.machine?.type === undefined ? {} : { machine: domain.machine.type }),
    cpu: { ...topologyOf(domain), ...(domain.cpu?.model === undefined ? {} : { model: domain.cpu.model }) },
    memoryBytes: memoryOf(domain),
    nics,
    disks: (domain.devices.disks ?? []).flatMap((disk) => {
      const bus = diskBus(disk);
      return bus === undefined ? [] : [{ name: disk.name, bus }];
    }),
    rng: domain.devices.rng !== undefined,
    graphics: domain.devices.autoattachGraphicsDevice !== false,
    virtioTransitional: domain.devices.useVirtioTransitional ?? false,
  };
}

/** The bus that a disk is plugged into; undefined for one that this version cannot plug. */
export function diskBus({ disk, cdrom, lun, floppy }: Disk): DiskBus | undefined {
  if (lun !== undefined || floppy !== undefined) return undefined;
  const named = (disk ?? cdrom)?.bus || (cdrom === undefined ? "virtio" : "sata");
  return DISK_BUSES.find((known) => known === named);
}

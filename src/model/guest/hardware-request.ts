import type { Domain } from "../api/domain.ts";
import type { GuestNic } from "../wiring/wiring.ts";
import type { DiskBus } from "./hardware.ts";
import type { HardwareRequest } from "./hardware-decision.ts";
import { ROOT_COMPLEX_ANNOTATION } from "./pci.ts";
import { memoryOf, topologyOf } from "./topology.ts";

/** What the QEMU of a node offers. */
export type Offered = Pick<HardwareRequest, "accel" | "machines" | "devices">;

/** A pointing device. */
interface Input {
  readonly name: string;
  readonly type: string;
  readonly bus: string;
}

type Disk = NonNullable<Domain["devices"]["disks"]>[number];

/** Those that this version plugs disks into. */
export const DISK_BUSES: readonly DiskBus[] = ["virtio", "sata", "scsi", "usb"];

/**
 * What the hardware of a guest is decided from, its VMI's annotations among it: the same for a plan as for the node that
 * starts it, so that what the one approves the other does not refuse.
 */
export function hardwareRequest(
  domain: Domain,
  nics: readonly GuestNic[],
  { accel, machines, devices }: Offered,
  annotations: Readonly<Record<string, string>> = {},
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
    ...(annotations[ROOT_COMPLEX_ANNOTATION] === "true"
      ? { rootComplex: { watchdog: domain.devices.watchdog !== undefined, inputs: inputsOf(domain) } }
      : {}),
  };
}

/** The input devices that a domain asks for, with the bus of each. */
export function inputsOf({ devices: { inputs = [], autoattachInputDevice } }: Domain): readonly Input[] {
  const isAutomatic = autoattachInputDevice === true && inputs.length === 0;
  const listed = isAutomatic ? [{ name: "default-0", type: "tablet", bus: "usb" }] : inputs;
  return listed.map((input) => ({ ...input, bus: input.bus || "usb" }));
}

/** The bus that a disk is plugged into; undefined for one that this version cannot plug. */
export function diskBus({ disk, cdrom, lun, floppy }: Disk): DiskBus | undefined {
  if (lun !== undefined || floppy !== undefined) return undefined;
  const named = (disk ?? cdrom)?.bus || (cdrom === undefined ? "virtio" : "sata");
  return DISK_BUSES.find((known) => known === named);
}

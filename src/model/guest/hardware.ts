import type { GuestNic } from "../wiring/wiring.ts";
import { type PciPlace, type Placed, ROOT_BUS } from "./pci.ts";

/**
 * The virtual hardware of one guest: decided once, kept with the VMI as JSON, and used again whenever QEMU must show
 * the guest the same machine (adoption, migration, hotplug).
 */
export interface GuestHardware {
  readonly version: 1;
  /** Versioned, such as `pc-q35-7.2`. */
  readonly machine: string;
  readonly cpu: CpuHardware;
  readonly memoryMiB: number;
  /** Root ports in the order of their bus numbers; those that nothing names in `bus` are for hotplug. */
  readonly ports: readonly RootPort[];
  /** Root buses beside bus 0, for addresses that name their numbers. */
  readonly expanders: readonly (Placed & { readonly number: number })[];
  /** Devices that do nothing, at function 0 of a slot of which another function was asked for. */
  readonly fillers: readonly Placed[];
  /** PCIe-to-PCI bridges, for devices that are not PCI Express and for addresses with a slot. */
  readonly bridges: readonly Placed[];
  readonly nics: readonly NicHardware[];
  /** Everything else on PCI, by id: disks, controllers, the guest agent's channel. */
  readonly devices: readonly { readonly id: string; readonly place: PciPlace }[];
  readonly graphics: boolean;
}

export interface CpuHardware {
  readonly model: string;
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
}

export interface RootPort {
  readonly id: string;
  readonly place: PciPlace;
  /** Chassis number, unique in the machine. */
  readonly chassis: number;
}

export interface NicHardware {
  readonly name: string;
  /** QEMU's device type. */
  readonly device: string;
  readonly model: GuestNic["model"];
  readonly mac: string;
  readonly mtu: number;
  readonly queues: number;
  readonly place: PciPlace;
  readonly acpiIndex?: number;
  readonly bootOrder?: number;
}

export type DiskBus = "virtio" | "sata" | "scsi" | "usb";

/** Ids of the devices that are there once at most. */
export const channelId = "channels";
export const rngId = "rng0";
export const scsiId = "scsi0";
export const usbId = "usb0";
export const watchdogId = "watchdog";
/** The controller that USB tablets are on. */
export const tabletBusId = "tablets";

/** The id of an input device in QEMU. */
export function inputId(name: string): string {
  return `input-${name}`;
}

/** The id of a disk's device in QEMU. */
export function diskId(name: string): string {
  return `disk-${name}`;
}

/** The id of a NIC's device in QEMU: the alias that KubeVirt's domains have. */
export function nicId(name: string): string {
  return `ua-${name}`;
}

/** The id in QEMU of a device of the host that is handed over for a network: likewise (reference 7.6). */
export function hostDeviceId(network: string): string {
  return `ua-sriov-${network}`;
}

/**
 * The PCI address of a NIC as the guest sees it, `0000:01:00.0`; undefined for a NIC that the hardware does not have.
 *
 * The firmware numbers buses depth first in the order of their ports.
 */
export function guestPciAddress(hardware: GuestHardware, nic: string): string | undefined {
  const place = hardware.nics.find((candidate) => candidate.name === nic)?.place;
  if (place === undefined) return undefined;
  const buses = busNumbers(hardware);
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  return `0000:${hex(buses.get(place.bus) ?? 0)}:${hex(place.slot)}.${place.function}`;
}

/** The number of each bus by its id: root buses have theirs, and the ports of each count on from there. */
export function busNumbers({ expanders, ports, bridges }: GuestHardware): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  for (const root of [{ id: ROOT_BUS, number: 0 }, ...expanders]) {
    numbers.set(root.id, root.number);
    let last = root.number;
    for (const port of ports.filter(({ place }) => place.bus === root.id)) {
      numbers.set(port.id, ++last);
      for (const bridge of bridges.filter(({ place }) => place.bus === port.id)) numbers.set(bridge.id, ++last);
    }
  }
  return numbers;
}

import type { DiskBus, GuestHardware } from "../../model/guest/hardware.ts";
import type { GuestNic } from "../../model/wiring/wiring.ts";

/**
 * Everything that decides QEMU's command line but the numbers of the tap fds. Plain data.
 *
 * Paths may be relative: QEMU runs in the guest's folder.
 */
export interface GuestSpec {
  /** Shown in the process list and in QEMU's messages. */
  readonly name: string;
  readonly uuid: string;
  readonly hardware: GuestHardware;
  readonly accel: "kvm" | "tcg";
  readonly kernelBoot?: { readonly kernel: string; readonly initrd?: string; readonly args: string };
  readonly disks: readonly GuestDisk[];
  readonly nics: readonly GuestNic[];
  /** The guest is not to run before it is let. */
  readonly paused?: boolean;
  readonly devices?: GuestDevices;
}

export interface GuestDisk {
  readonly name: string;
  readonly path: string;
  readonly format: "qcow2" | "raw";
  readonly bus: DiskBus;
  readonly readOnly: boolean;
  readonly cdrom?: boolean;
  /** From 1; the lowest is tried first. */
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly tuning?: DiskTuning;
}

/** How a disk is read and written. */
export interface DiskTuning {
  /** Absent: as QEMU does it, through the machine's page cache. */
  readonly cache?: "none" | "writethrough" | "writeback";
  readonly io?: "native" | "threads" | "default";
  /** Others write the same file. */
  readonly shareable?: boolean;
  readonly errorPolicy?: "stop" | "ignore" | "report" | "enospace";
  /** Bytes. */
  readonly blockSize?: { readonly logical: number; readonly physical: number };
}

/** What a guest has beside disks and NICs. Plain data; paths may be relative, as a {@link GuestSpec}'s. */
export interface GuestDevices {
  /** The watchdog i6300esb, and what it does once the guest forgets it. */
  readonly watchdog?: WatchdogAction;
  /** EFI in place of the BIOS: its code, and the guest's own copy of its variables. */
  readonly efi?: { readonly code: string; readonly variables: string; readonly secureBoot: boolean };
  /** Serial number of the machine (SMBIOS type 1). */
  readonly serial?: string;
  /** Bytes of each huge page that backs the memory. */
  readonly hugepageBytes?: number;
  /** Pointing devices with absolute positions. */
  readonly tablets?: readonly { readonly name: string; readonly bus: "usb" | "virtio" }[];
}

export const WATCHDOG_ACTIONS = ["poweroff", "reset", "shutdown"] as const;
export type WatchdogAction = (typeof WATCHDOG_ACTIONS)[number];

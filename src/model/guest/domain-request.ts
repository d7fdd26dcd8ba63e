import type { Domain } from "../api/domain.ts";
import type { GuestNic } from "../wiring/wiring.ts";
import type { DiskBus, GuestHardware } from "./hardware.ts";

/** What a guest's libvirt domain XML is written from. */
export interface DomainRequest {
  readonly namespace: string;
  readonly name: string;
  /** Of the VMI. */
  readonly uid?: string;
  readonly uuid: string;
  readonly accel: "kvm" | "tcg";
  /** Of the manifest, defaults applied. */
  readonly domain: Domain;
  readonly hardware: GuestHardware;
  /** In the manifest's order. */
  readonly nics: readonly GuestNic[];
  readonly disks: readonly DomainDisk[];
  readonly graceSeconds?: number;
  /** The guest's folder; absent of one that does not run. */
  readonly folder?: string;
}

export interface DomainDisk {
  readonly name: string;
  readonly bus: DiskBus;
  readonly format: "qcow2" | "raw";
  readonly readOnly: boolean;
  readonly cdrom?: boolean;
  readonly bootOrder?: number;
  readonly serial?: string;
  /** How it is read and written, in the manifest's words; what is absent is QEMU's own choice. */
  readonly tuning?: {
    readonly cache?: string;
    readonly io?: string;
    readonly errorPolicy?: string;
    readonly shareable?: boolean;
    /** Bytes. */
    readonly blockSize?: { readonly logical: number; readonly physical: number };
  };
  /** Absent of a guest that does not run. */
  readonly file?: string;
}

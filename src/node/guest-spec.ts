import type { GuestDevices, GuestDisk, GuestSpec } from "../host/guest/guest-spec.ts";
import type { QemuFacts } from "../host/guest/qemu-facts.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import { guestUuid } from "../model/guest/firmware-uuid.ts";
import type { GuestHardware } from "../model/guest/hardware.ts";
import { decideHardware } from "../model/guest/hardware-decision.ts";
import { hardwareRequest } from "../model/guest/hardware-request.ts";
import { isToBePaused } from "../model/pods/pause.ts";
import type { Wiring } from "../model/wiring/wiring.ts";
import type { PodRecord } from "./records.ts";

/** What a guest is decided with. */
export interface GuestParts {
  readonly accel: "kvm" | "tcg";
  readonly qemu: QemuFacts;
}

/** A guest's disks and kernel as files that QEMU can open. */
export interface GuestStorage {
  readonly kernelBoot?: { readonly kernel: string; readonly initrd?: string };
  readonly disks: readonly GuestDisk[];
}

/** Decides the virtual hardware of a new guest. Throws a Fault where this QEMU cannot be it. */
export function hardwareOf(parts: GuestParts, vmi: Stored<VirtualMachineInstance>, wiring: Wiring): GuestHardware {
  const { accel, qemu } = parts;
  const { machines, devices } = qemu;
  const { annotations } = vmi.metadata;
  return decideHardware(hardwareRequest(vmi.spec.domain, wiring.nics, { accel, machines, devices }, annotations));
}

/** All that QEMU's command line says. */
export function guestSpec(
  parts: GuestParts,
  vmi: Stored<VirtualMachineInstance>,
  record: PodRecord,
  storage: GuestStorage,
  devices: GuestDevices,
): GuestSpec {
  const { hardware, wiring } = record;
  if (hardware === undefined || wiring === undefined) {
    throw new Fault("PB6106", `The record of pod ${record.podUid} has no hardware yet.`);
  }
  const { namespace, name } = vmi.metadata;
  return {
    name: `${namespace}_${name}`,
    uuid: guestUuid(vmi),
    hardware,
    accel: parts.accel,
    disks: storage.disks,
    nics: wiring.nics,
    paused: isToBePaused(vmi),
    devices,
    ...(storage.kernelBoot === undefined
      ? {}
      : { kernelBoot: { ...storage.kernelBoot, args: vmi.spec.domain.firmware?.kernelBoot?.kernelArgs ?? "" } }),
  };
}

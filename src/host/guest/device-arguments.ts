import { inputId, tabletBusId, watchdogId } from "../../model/guest/hardware.ts";
import type { GuestSpec } from "./command-line.ts";
import { at, option, type Properties } from "./qemu-options.ts";

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

/** The socket that QEMU serves VNC on, in the guest's folder. */
export const VNC_SOCKET = "vnc.sock";

const EFI_CODE = "efi-code";
const EFI_VARIABLES = "efi-variables";

/** What the devices add to the option of the machine. */
export function machineProperties({ devices = {} }: GuestSpec): Properties {
  const { efi, hugepageBytes } = devices;
  return {
    ...(efi === undefined ? {} : { pflash0: EFI_CODE, pflash1: EFI_VARIABLES, smm: efi.secureBoot ? true : undefined }),
    ...(hugepageBytes === undefined ? {} : { "memory-backend": "memory" }),
  };
}

/**
 * The arguments for devices. They stand last: those without a place of their own on PCI take what the others left.
 */
export function deviceArguments({ hardware, devices = {} }: GuestSpec): string[][] {
  const { watchdog, efi, serial, hugepageBytes, tablets = [] } = devices;
  const size = `${hardware.memoryMiB}M`;
  const placed = (id: string): Properties => {
    const place = hardware.devices.find((device) => device.id === id)?.place;
    return { id, ...(place === undefined ? { bus: "pcie.0" } : at(place)) };
  };
  return [
    ...(efi === undefined ? [] : efiArguments(efi)),
    ...(serial === undefined ? [] : [["-smbios", option("type=1", { serial })]]),
    ...(hugepageBytes === undefined
      ? []
      : [
          [
            "-object",
            option("memory-backend-memfd", {
              id: "memory",
              size,
              hugetlb: true,
              hugetlbsize: hugepageBytes,
              prealloc: true,
            }),
          ],
        ]),
    ...(hardware.graphics ? [["-vnc", `unix:${VNC_SOCKET}`]] : []),
    ...(watchdog === undefined
      ? []
      : [
          ["-device", option("i6300esb", placed(watchdogId))],
          ["-action", `watchdog=${watchdog}`],
        ]),
    ...(tablets.some(({ bus }) => bus === "usb") ? [["-device", option("qemu-xhci", placed(tabletBusId))]] : []),
    ...tablets.map(({ name, bus }) => [
      "-device",
      bus === "usb"
        ? option("usb-tablet", { id: inputId(name), bus: `${tabletBusId}.0` })
        : option("virtio-tablet-pci", { ...placed(inputId(name)), "disable-legacy": true }),
    ]),
  ];
}

/** Two flash chips (docs/interop/firmware.json of QEMU). With secure boot only the firmware itself writes the variables. */
function efiArguments({ code, variables, secureBoot }: NonNullable<GuestDevices["efi"]>): string[][] {
  const chip = (name: string, filename: string, readOnly: boolean): string[][] => [
    ["-blockdev", option("", { driver: "file", "node-name": `${name}-file`, filename, "read-only": readOnly })],
    ["-blockdev", option("", { driver: "raw", "node-name": name, file: `${name}-file`, "read-only": readOnly })],
  ];
  return [
    ...chip(EFI_CODE, code, true),
    ...chip(EFI_VARIABLES, variables, false),
    ...(secureBoot ? [["-global", "driver=cfi.pflash01,property=secure,value=on"]] : []),
  ];
}

import { inputId, tabletBusId, watchdogId } from "../../model/guest/hardware.ts";
import { VNC_SOCKET } from "./guest-files.ts";
import type { GuestDevices, GuestSpec } from "./guest-spec.ts";
import { at, option, type Properties } from "./qemu-options.ts";

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

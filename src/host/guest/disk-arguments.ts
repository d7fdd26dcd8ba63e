import { diskId, scsiId, usbId } from "../../model/guest/hardware.ts";
import type { PciPlace } from "../../model/guest/pci.ts";
import type { DiskTuning, GuestDisk, GuestSpec } from "./guest-spec.ts";
import { at, option, type Properties } from "./qemu-options.ts";

/** Longest name of a block node: QEMU's BlockDriverState.node_name without its terminating zero. */
const MAX_NODE_NAME = 31;

/** The arguments for one disk, the `index`th of the guest's; `bootindex` where it is booted from. */
export function diskArguments(
  spec: GuestSpec,
  disk: GuestDisk,
  index: number,
  bootindex: number | undefined,
): string[][] {
  const id = diskId(disk.name);
  const file = nodeName("file", disk, index);
  const node = nodeName("node", disk, index);
  const { tuning = {} } = disk;
  const access = {
    "read-only": disk.readOnly || disk.cdrom === true,
    discard: "unmap",
    ...(tuning.cache === "none" ? { "cache.direct": true } : {}),
  };
  const place = spec.hardware.devices.find((device) => device.id === id)?.place;
  // QEMU has native I/O for files without the page cache alone.
  const aio = tuning.io === "native" && tuning.cache === "none" ? { aio: "native" } : {};
  return [
    ["-blockdev", option("", { driver: "file", "node-name": file, filename: disk.path, ...access, ...aio })],
    ["-blockdev", option("", { driver: disk.format, "node-name": node, file, ...access })],
    ...diskDevice(
      disk,
      sataPort(spec, index),
      { id, drive: node, bootindex, serial: disk.serial, ...tuned(tuning) },
      place,
    ),
  ];
}

/** The device's own share of how a disk is read and written. */
function tuned({ cache, shareable, errorPolicy, blockSize }: DiskTuning): Properties {
  return {
    ...(cache === "writethrough" ? { "write-cache": "off" } : {}),
    ...(shareable === true ? { "share-rw": true } : {}),
    ...(errorPolicy === undefined ? {} : policies(errorPolicy)),
    ...(blockSize === undefined
      ? {}
      : { logical_block_size: blockSize.logical, physical_block_size: blockSize.physical }),
  };
}

/** A read that fails cannot be for want of space. */
function policies(policy: NonNullable<DiskTuning["errorPolicy"]>): Properties {
  const onWrite = policy === "enospace" ? "enospc" : policy;
  return { werror: onWrite, rerror: policy === "enospace" ? "report" : policy };
}

/** The name of a block node after its disk where QEMU takes one of that length, else after the disk's number. */
function nodeName(kind: "file" | "node", disk: GuestDisk, index: number): string {
  const name = `${kind}-${disk.name}`;
  return name.length <= MAX_NODE_NAME ? name : `${kind}${index}`;
}

function diskDevice(disk: GuestDisk, port: number, common: Properties, place: PciPlace | undefined): string[][] {
  const cdrom = disk.cdrom === true;
  switch (disk.bus) {
    case "virtio":
      return [["-device", option("virtio-blk-pci", { ...common, "disable-legacy": true, ...at(place) })]];
    case "sata":
      return [["-device", option(cdrom ? "ide-cd" : "ide-hd", { ...common, bus: `ide.${port}` })]];
    case "scsi":
      return [["-device", option(cdrom ? "scsi-cd" : "scsi-hd", { ...common, bus: `${scsiId}.0` })]];
    case "usb": {
      const bot = `usb-${disk.name}`;
      return [
        // Guests call a USB disk by the serial number of its USB device.
        ["-device", option("usb-bot", { id: bot, bus: `${usbId}.0`, serial: disk.serial })],
        ["-device", option(cdrom ? "scsi-cd" : "scsi-hd", { ...common, bus: `${bot}.0` })],
      ];
    }
  }
}

/** How many of the disks before this one are on the SATA bus. */
function sataPort(spec: GuestSpec, index: number): number {
  return spec.disks.slice(0, index).filter((disk) => disk.bus === "sata").length;
}

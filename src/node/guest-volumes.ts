import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { requireEfiKernel } from "../host/guest/efi.ts";
import type { DiskTuning, GuestDisk } from "../host/guest/guest-spec.ts";
import { ephemeralDisk, placeClaim } from "../host/images/claim-image.ts";
import { placeHostDisk } from "../host/images/host-disk.ts";
import { noImage } from "../host/images/image-faults.ts";
import type { IsoFile } from "../host/images/iso9660.ts";
import type { ImageStore } from "../host/images/store.ts";
import {
  cloudInitDisk,
  containerDisk,
  emptyDisk,
  filesDisk,
  kernelBoot,
  onceMore,
  placeFile,
} from "../host/images/volumes.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance, VmiSpec } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import type { DiskBus, GuestHardware } from "../model/guest/hardware.ts";
import { DISK_BUSES, diskBus } from "../model/guest/hardware-request.ts";
import { taggedNics } from "../model/guest/tagged-nics.ts";
import { isJsonObject } from "../model/json.ts";
import { hostNameOf } from "../model/pods/launcher-pod.ts";
import type { ClaimKeeper } from "./claim-keeper.ts";
import { imageOf, isForReading, type ReadyClaim } from "./claim-volumes.ts";
import type { GuestStorage } from "./guest-spec.ts";
import { readFiles, type VolumeObjects, withSecrets } from "./volume-objects.ts";
import { type ClaimSource, type FilesSource, sourceOf, type VolumeSource } from "./volume-source.ts";

/** What storage is made with. */
export interface VolumeParts {
  readonly images: ImageStore;
  /** Absent for who only looks: then no object is asked for. */
  readonly objects?: VolumeObjects;
  /** Absent for who only looks: then no claim is asked for. */
  readonly claims?: Pick<ClaimKeeper, "find">;
  /** True where the feature gate of that name is open; absent for who only looks. */
  readonly isGateOpen?: (gate: string) => Promise<boolean>;
}

/** One disk of the guest: where it is plugged, and what is to be made for it. */
export interface FoundVolume {
  readonly name: string;
  readonly bus: DiskBus;
  readonly cdrom: boolean;
  readonly readOnly: boolean;
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly tuning: DiskTuning;
  readonly source: ReadySource;
}

/** A source with the data of the objects that it refers to. */
type ReadySource =
  | Exclude<VolumeSource, FilesSource | ClaimSource>
  | ReadyClaim
  | { readonly kind: "files"; readonly label: string; readonly files: readonly IsoFile[] };

type Vmi = Stored<VirtualMachineInstance>;
type Disk = NonNullable<VmiSpec["domain"]["devices"]["disks"]>[number];
/** Names in the guest's folder, which is where QEMU runs. */
const KERNEL = "kernel";
const INITRD = "initrd";
/** What is written by QEMU in a format of its own. */
const OVERLAYS: readonly VolumeSource["kind"][] = ["containerDisk", "emptyDisk", "ephemeral"];

/**
 * The disks of a VMI and their sources, after a look that the images and objects are there; makes nothing.
 *
 * Throws PB5001 for an image that is missing, PB5070 for a volume of a kind that this version cannot make, PB5072 for one
 * that cannot be as it is asked for, PB5073 for an object that is missing, PB5074 for a host disk that is not permitted,
 * PB5081 for a claim that has no image, PB5083 for a kernel that the EFI firmware cannot start.
 */
export async function findVolumes(parts: VolumeParts, vmi: Vmi): Promise<readonly FoundVolume[]> {
  const volumes = vmi.spec.volumes ?? [];
  const sources = (vmi.spec.domain.devices.disks ?? []).map((disk, index) => {
    const volume = volumes.find(({ name }) => name === disk.name);
    const place = `spec.domain.devices.disks[${index}]`;
    if (volume === undefined) {
      throw new Fault("PB5071", `${place}: no volume is named "${disk.name}".`, {
        place,
        cure: "Add it to spec.volumes.",
      });
    }
    return { ...foundDisk(disk, place), source: sourceOf(volume, place) };
  });
  const kernel = vmi.spec.domain.firmware?.kernelBoot?.container;
  if (kernel !== undefined) {
    const byEfi = vmi.spec.domain.firmware?.bootloader?.efi !== undefined;
    await onceMore(async () => {
      const files = await kernelBoot(parts.images, kernel.image, kernel.kernelPath, kernel.initrdPath);
      if (byEfi) await requireEfiKernel(files.kernel, kernel.kernelPath ?? "");
    });
  }
  const found: FoundVolume[] = [];
  for (const [index, { source, ...disk }] of sources.entries()) {
    const made = await ready(parts, vmi.metadata.namespace, disk.name, source);
    const fixed = made.kind === "claim" && isForReading(made, disk, `spec.domain.devices.disks[${index}]`);
    found.push({ ...disk, readOnly: disk.readOnly || fixed, source: made });
  }
  return found;
}

/** Looks that what a source refers to is there, and reads the data of objects. */
async function ready(
  { images, objects, claims, isGateOpen }: VolumeParts,
  namespace: string,
  name: string,
  source: VolumeSource,
): Promise<ReadySource> {
  switch (source.kind) {
    case "containerDisk":
      if ((await images.resolve(source.image)) === undefined) throw noImage(source.image);
      return source;
    case "hostDisk":
      if (isGateOpen !== undefined && !(await isGateOpen(HOST_DISK_GATE))) throw hostDiskForbidden(source.disk.path);
      return source;
    case "claim":
    case "ephemeral":
      return claims === undefined ? source : { ...source, found: await claims.find(namespace, source.name, name) };
    case "cloudInit":
      return objects === undefined ? source : withSecrets(objects, namespace, name, source);
    case "files": {
      const files = objects === undefined ? [] : await readFiles(objects, namespace, name, source);
      return { kind: "files", label: source.label, files };
    }
    case "emptyDisk":
      return source;
  }
}

/** Makes the disks in the guest's folder. Throws a Fault where an image cannot be read or the disk is full. */
export async function prepareVolumes(
  parts: VolumeParts,
  vmi: Vmi,
  volumes: readonly FoundVolume[],
  runDir: string,
  hardware: GuestHardware,
): Promise<GuestStorage> {
  await mkdir(runDir, { recursive: true, mode: 0o711 });
  const kernel = vmi.spec.domain.firmware?.kernelBoot?.container;
  const disks: GuestDisk[] = [];
  for (const volume of volumes) disks.push(await makeDisk(parts, vmi, volume, runDir, hardware));
  if (kernel === undefined) return { disks };
  const { initrd } = await onceMore(async () => {
    const files = await kernelBoot(parts.images, kernel.image, kernel.kernelPath, kernel.initrdPath);
    await placeFile(files.kernel, join(runDir, KERNEL));
    if (files.initrd !== undefined) await placeFile(files.initrd, join(runDir, INITRD));
    return files;
  });
  return { disks, kernelBoot: { kernel: KERNEL, ...(initrd === undefined ? {} : { initrd: INITRD }) } };
}

async function makeDisk(
  parts: VolumeParts,
  vmi: Vmi,
  volume: FoundVolume,
  runDir: string,
  hardware: GuestHardware,
): Promise<GuestDisk> {
  const { name, bus, cdrom, readOnly, bootOrder, serial, tuning, source } = volume;
  const disk = {
    name,
    bus,
    readOnly,
    cdrom,
    tuning,
    ...(bootOrder === undefined ? {} : { bootOrder }),
    ...(serial === undefined ? {} : { serial }),
  };
  // A SATA disk cannot be read-only; what is written on this one goes with the guest.
  const fixed = bus !== "sata" || cdrom;
  const path = `${name}.${OVERLAYS.includes(source.kind) ? "qcow2" : "img"}`;
  const file = join(runDir, path);
  switch (source.kind) {
    case "containerDisk":
      await containerDisk(parts.images, source.image, source.path, file);
      return { ...disk, path, format: "qcow2" };
    case "emptyDisk":
      await emptyDisk(source.bytes, file);
      return { ...disk, path, format: "qcow2" };
    case "hostDisk":
      await placeHostDisk(source.disk, file);
      return { ...disk, path, format: "raw" };
    case "claim":
      await placeClaim(imageOf(source), file);
      return { ...disk, path, format: "raw" };
    case "ephemeral":
      await ephemeralDisk(imageOf(source), file);
      return { ...disk, path, format: "qcow2" };
    case "cloudInit": {
      const { layout, userData = new Uint8Array(), networkData } = source;
      const instanceId = `${vmi.metadata.name}.${vmi.metadata.namespace}`;
      const devices = taggedNics(vmi.spec.domain.devices.interfaces ?? [], hardware);
      const data = { kind: layout, instanceId, hostname: hostNameOf(vmi), userData, devices };
      await cloudInitDisk({ ...data, ...(networkData === undefined ? {} : { networkData }) }, file);
      return { ...disk, path, format: "raw", readOnly: fixed };
    }
    case "files":
      await filesDisk(source.label, source.files, file);
      return { ...disk, path, format: "raw", readOnly: fixed };
  }
}

/** The disk's device, after a look that this version can plug it. */
function foundDisk(disk: Disk, place: string): Omit<FoundVolume, "source"> {
  const target = disk.disk ?? disk.cdrom ?? {};
  const cdrom = disk.cdrom !== undefined;
  const bus = diskBus(disk);
  if (bus === undefined) {
    throw new Fault(
      "PB5070",
      `${place}: this version of Patchbay cannot plug the disk "${disk.name}" as it is described.`,
      {
        place,
        cure: `Use \`disk\` or \`cdrom\` with bus ${DISK_BUSES.join(", ")}.`,
      },
    );
  }
  return {
    name: disk.name,
    bus,
    cdrom,
    readOnly: target.readonly ?? cdrom,
    tuning: tuningOf(disk, place),
    ...(disk.bootOrder === undefined ? {} : { bootOrder: disk.bootOrder }),
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
  };
}

const CACHES = ["none", "writethrough", "writeback"] as const;
const ERROR_POLICIES = ["stop", "ignore", "report", "enospace"] as const;

/** How a disk is read and written. @throws Fault PB5072 for a word or size that is none */
function tuningOf(disk: Disk, place: string): DiskTuning {
  const { cache, io, shareable, errorPolicy, blockSize } = disk;
  const custom = blockSize?.["custom"];
  const size = (key: "logical" | "physical"): number => {
    const value = isJsonObject(custom) ? custom[key] : undefined;
    const whole = typeof value === "number" && value >= 512 && value <= 2_097_152 && Number.isInteger(Math.log2(value));
    if (whole) return value;
    throw wrong(place, `blockSize.custom.${key}`, value, ["a power of two from 512 to 2097152"]);
  };
  return {
    ...(cache ? { cache: oneOf(CACHES, place, "cache", cache) } : {}),
    ...(io ? { io: oneOf(["native", "threads", "default"], place, "io", io) } : {}),
    ...(shareable === true ? { shareable } : {}),
    ...(errorPolicy ? { errorPolicy: oneOf(ERROR_POLICIES, place, "errorPolicy", errorPolicy) } : {}),
    ...(custom === undefined ? {} : { blockSize: { logical: size("logical"), physical: size("physical") } }),
  };
}

function oneOf<const T extends string>(words: readonly T[], place: string, field: string, value: string): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw wrong(place, field, value, words);
  return found;
}

function wrong(place: string, field: string, value: unknown, words: readonly string[]): Fault {
  return new Fault("PB5072", `${place}: the disk's ${field} cannot be ${JSON.stringify(value)}.`, {
    place: `${place}.${field}`,
    cure: `Use ${words.join(", ")}, or leave it out.`,
  });
}

const HOST_DISK_GATE = "HostDisk";

/** Whoever may make a VMI could otherwise read and write every file of this machine. */
function hostDiskForbidden(path: string): Fault {
  return new Fault("PB5074", `The host disk ${path} is not used: the feature gate ${HOST_DISK_GATE} is not open.`, {
    place: "spec.volumes",
    cure: `Add ${HOST_DISK_GATE} to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource, or use another volume.`,
  });
}

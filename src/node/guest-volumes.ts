import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { GuestDisk } from "../host/guest/command-line.ts";
import { noImage } from "../host/images/image-faults.ts";
import type { ImageStore } from "../host/images/store.ts";
import { cloudInitDisk, containerDisk, kernelBoot, placeFile } from "../host/images/volumes.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance, VmiSpec } from "../model/api/vmi.ts";
import { Fault } from "../model/fault.ts";
import type { DiskBus } from "../model/guest/hardware.ts";
import { DISK_BUSES, diskBus } from "../model/guest/hardware-request.ts";
import { hostNameOf } from "../model/pods/launcher-pod.ts";
import type { GuestStorage } from "./guest-spec.ts";

/** What storage is made with. */
export interface VolumeParts {
  readonly images: ImageStore;
}

/** One disk of the guest: where it is plugged, and what is to be made for it. */
export interface FoundVolume {
  readonly name: string;
  readonly bus: DiskBus;
  readonly cdrom: boolean;
  readonly readOnly: boolean;
  readonly bootOrder?: number;
  readonly serial?: string;
  readonly source: VolumeSource;
}

type VolumeSource =
  | { readonly kind: "containerDisk"; readonly image: string; readonly path?: string }
  | { readonly kind: "cloudInit"; readonly userData: string; readonly networkData?: string };

type Vmi = Stored<VirtualMachineInstance>;
type Disk = NonNullable<VmiSpec["domain"]["devices"]["disks"]>[number];
type Volume = NonNullable<VmiSpec["volumes"]>[number];
type CloudInit = NonNullable<Volume["cloudInitNoCloud"]>;

/** Names in the guest's folder, which is where QEMU runs. */
const KERNEL = "kernel";
const INITRD = "initrd";

/**
 * The disks of a VMI and their sources, after a look that the images are there; makes nothing.
 *
 * Throws PB5001 for an image that is missing, PB5070 for a volume of a kind that this version cannot make.
 */
export async function findVolumes(parts: VolumeParts, vmi: Vmi): Promise<readonly FoundVolume[]> {
  const volumes = vmi.spec.volumes ?? [];
  const found = (vmi.spec.domain.devices.disks ?? []).map((disk, index) => {
    const volume = volumes.find(({ name }) => name === disk.name);
    const place = `spec.domain.devices.disks[${index}]`;
    if (volume === undefined) {
      throw new Fault("PB5071", `${place}: no volume is named "${disk.name}".`, {
        place,
        cure: "Add it to spec.volumes.",
      });
    }
    return foundVolume(disk, volume, place);
  });
  const kernel = vmi.spec.domain.firmware?.kernelBoot?.container;
  if (kernel !== undefined) await kernelBoot(parts.images, kernel.image, kernel.kernelPath, kernel.initrdPath);
  for (const { source } of found) {
    if (source.kind === "containerDisk" && (await parts.images.resolve(source.image)) === undefined) {
      throw noImage(source.image);
    }
  }
  return found;
}

/** Makes the disks in the guest's folder. Throws a Fault where an image cannot be read or the disk is full. */
export async function prepareVolumes(
  parts: VolumeParts,
  vmi: Vmi,
  volumes: readonly FoundVolume[],
  runDir: string,
): Promise<GuestStorage> {
  await mkdir(runDir, { recursive: true, mode: 0o711 });
  const kernel = vmi.spec.domain.firmware?.kernelBoot?.container;
  const disks: GuestDisk[] = [];
  for (const volume of volumes) disks.push(await makeDisk(parts, vmi, volume, runDir));
  if (kernel === undefined) return { disks };
  const files = await kernelBoot(parts.images, kernel.image, kernel.kernelPath, kernel.initrdPath);
  await placeFile(files.kernel, join(runDir, KERNEL));
  if (files.initrd !== undefined) await placeFile(files.initrd, join(runDir, INITRD));
  return { disks, kernelBoot: { kernel: KERNEL, ...(files.initrd === undefined ? {} : { initrd: INITRD }) } };
}

async function makeDisk(parts: VolumeParts, vmi: Vmi, volume: FoundVolume, runDir: string): Promise<GuestDisk> {
  const { name, bus, cdrom, readOnly, bootOrder, serial, source } = volume;
  const disk = {
    name,
    bus,
    readOnly,
    cdrom,
    ...(bootOrder === undefined ? {} : { bootOrder }),
    ...(serial === undefined ? {} : { serial }),
  };
  switch (source.kind) {
    case "containerDisk": {
      const path = `${name}.qcow2`;
      await containerDisk(parts.images, source.image, source.path, join(runDir, path));
      return { ...disk, path, format: "qcow2" };
    }
    case "cloudInit": {
      const path = `${name}.img`;
      const { userData, networkData } = source;
      const instanceId = `${vmi.metadata.name}.${vmi.metadata.namespace}`;
      await cloudInitDisk(
        { instanceId, hostname: hostNameOf(vmi), userData, ...(networkData === undefined ? {} : { networkData }) },
        join(runDir, path),
      );
      return { ...disk, path, format: "raw", readOnly: true };
    }
  }
}

function foundVolume(disk: Disk, volume: Volume, place: string): FoundVolume {
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
    source: sourceOf(volume, place),
    ...(disk.bootOrder === undefined ? {} : { bootOrder: disk.bootOrder }),
    ...(disk.serial === undefined ? {} : { serial: disk.serial }),
  };
}

function sourceOf(volume: Volume, place: string): VolumeSource {
  if (volume.containerDisk !== undefined) {
    const { image, path } = volume.containerDisk;
    return { kind: "containerDisk", image, ...(path === undefined ? {} : { path }) };
  }
  if (volume.cloudInitNoCloud !== undefined) return cloudInitOf(volume.cloudInitNoCloud, volume.name, place);
  const kinds = Object.keys(volume).filter((key) => key !== "name");
  throw new Fault(
    "PB5070",
    `${place}: this version of Patchbay cannot make the volume "${volume.name}" (${kinds.join(", ") || "no source"}).`,
    {
      place,
      cure: "Use containerDisk or cloudInitNoCloud.",
    },
  );
}

function cloudInitOf(data: CloudInit, volume: string, place: string): VolumeSource {
  if (data.secretRef !== undefined || data.networkDataSecretRef !== undefined) {
    throw new Fault(
      "PB5070",
      `${place}: this version of Patchbay cannot read the cloud-init data of "${volume}" from a Secret.`,
      {
        place,
        cure: "Put it into userData and networkData.",
      },
    );
  }
  const networkData = data.networkData ?? decoded(data.networkDataBase64);
  return {
    kind: "cloudInit",
    userData: data.userData ?? decoded(data.userDataBase64) ?? "",
    ...(networkData === undefined ? {} : { networkData }),
  };
}

function decoded(base64: string | undefined): string | undefined {
  return base64 === undefined ? undefined : Buffer.from(base64, "base64").toString("utf8");
}

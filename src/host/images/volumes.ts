import { constants } from "node:fs";
import { chown, copyFile, link, open, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Fault, isFault } from "../../model/fault.ts";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { findQemuUser } from "../guest/process.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { noImage } from "./image-faults.ts";
import { type IsoFile, isoImage, LONGEST_LABEL, LONGEST_NAME } from "./iso9660.ts";
import { runProgram } from "./run-program.ts";
import type { ImageStore } from "./store.ts";

/** What cloud-init reads. */
export interface CloudInitData {
  /** How it is laid out: as the source NoCloud or as OpenStack's ConfigDrive reads it. */
  readonly kind: "NoCloud" | "ConfigDrive";
  readonly instanceId: string;
  readonly hostname: string;
  readonly userData: Uint8Array;
  readonly networkData?: Uint8Array;
  /** Devices that a ConfigDrive's metadata tell of. */
  readonly devices?: readonly object[];
}

/** Kernel and initrd as files of this machine that QEMU's user can read. */
export interface KernelFiles {
  readonly kernel: string;
  readonly initrd?: string;
}

/** KubeVirt's folder for the one disk of a containerDisk image. */
const DISK_FOLDER = "/disk";
const MOST_CLOUD_INIT = 16 * 1024 * 1024;
const MEBI = 1n << 20n;

/**
 * Makes `overlayPath`, a qcow2 disk that starts as the image's and keeps its changes to itself.
 *
 * Without a path the image's only file in /disk is taken. The disk belongs to QEMU's user. Fails with PB5001 (no such
 * image), PB5002 (no disk that may be used), PB5004 (no such file), PB5007.
 */
export async function containerDisk(
  store: ImageStore,
  image: string,
  path: string | undefined,
  overlayPath: string,
): Promise<void> {
  const beside = `${basename(overlayPath)}.base`;
  const format = await onceMore(async () => {
    const inImage = path ?? (await onlyDisk(store, image));
    const base = await store.extract(image, inImage);
    const found = await diskFormat(base, image, inImage);
    await placeFile(base, join(dirname(overlayPath), beside));
    return found;
  });
  await making(overlayPath, () =>
    runProgram("qemu-img", ["create", "-q", "-f", "qcow2", "-F", format, "-b", beside, overlayPath]),
  );
}

/**
 * The store for a start that may be called off: nobody waits any more for a file that is being taken out of a large image.
 * What was begun goes on by itself, and is there for the next who asks.
 */
export function untilCalledOff(store: ImageStore, signal: AbortSignal): ImageStore {
  return {
    ...store,
    extract: (name, path) => unlessAborted(store.extract(name, path), signal),
    files: (name, folder) => unlessAborted(store.files(name, folder), signal),
  };
}

/**
 * Work on files of an image, done again where one was not there: the image was removed meanwhile, which is then said
 * (PB5001), or its name is another's by now.
 */
export async function onceMore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const isMissing = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
    if (!isMissing && !isFault(thrown, "PB5002")) throw thrown;
    return work();
  }
}

/** Puts a read-only file of the store into a guest's folder: a second name of it, or a copy on another file system. */
export async function placeFile(file: string, path: string): Promise<void> {
  await rm(path, { force: true });
  try {
    await link(file, path);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && (thrown.code === "EXDEV" || thrown.code === "EMLINK")))
      throw thrown;
    await making(path, () => copyFile(file, path, constants.COPYFILE_FICLONE));
  }
}

/**
 * Writes cloud-init's disk: ISO 9660 labelled `cidata` (NoCloud) or `config-2` (ConfigDrive), of QEMU's user.
 *
 * Network data go into a config drive as they are, which is to be OpenStack's JSON. Fails with PB5007, PB5009.
 */
export async function cloudInitDisk(data: CloudInitData, path: string): Promise<void> {
  const { kind, instanceId, hostname, userData, networkData, devices = [] } = data;
  const metaData = (values: object): Uint8Array => Buffer.from(`${JSON.stringify(values, undefined, 1)}\n`);
  if (kind === "ConfigDrive") {
    const files = [
      {
        name: "openstack/latest/meta_data.json",
        data: metaData({
          uuid: instanceId,
          instance_id: instanceId,
          hostname,
          ...(devices.length === 0 ? {} : { devices }),
        }),
      },
      { name: "openstack/latest/user_data", data: userData },
      ...(networkData === undefined ? [] : [{ name: "openstack/latest/network_data.json", data: networkData }]),
    ];
    return filesDisk("config-2", files, path);
  }
  // JSON is YAML; one member a line suits readers that know neither.
  const files = [
    { name: "meta-data", data: metaData({ "instance-id": instanceId, "local-hostname": hostname }) },
    { name: "user-data", data: userData },
    ...(networkData === undefined ? [] : [{ name: "network-config", data: networkData }]),
  ];
  return filesDisk("cidata", files, path);
}

/** Writes files as a disk: ISO 9660 under `label`, of QEMU's user. Fails with PB5007, PB5009, PB5072. */
export async function filesDisk(label: string, files: readonly IsoFile[], path: string): Promise<void> {
  const long = files.flatMap(({ name }) => name.split("/")).find((name) => name.length > LONGEST_NAME);
  if (long !== undefined) {
    throw new Fault("PB5072", `The key "${long}" is no file name on a disk: it has ${long.length} characters.`, {
      cure: `Give the ConfigMap or Secret a key of at most ${LONGEST_NAME}; the VMI then starts by itself.`,
    });
  }
  if (Buffer.byteLength(label) > LONGEST_LABEL) {
    throw new Fault("PB5072", `"${label}" is too long for the label of a disk.`, {
      cure: `Write a volumeLabel of at most ${LONGEST_LABEL} bytes.`,
    });
  }
  const size = files.reduce((sum, file) => sum + file.data.length, 0);
  if (size > MOST_CLOUD_INIT) {
    throw new Fault("PB5009", `The files of a disk have ${size} bytes; at most ${MOST_CLOUD_INIT} fit.`, {
      cure: "Let the guest fetch what is large.",
      data: { size },
    });
  }
  await making(path, () => writeFile(path, isoImage(label, files), { flag: "wx", mode: 0o600 }));
}

/** Makes an empty qcow2 disk of that size, rounded down to whole MiB as KubeVirt does it. Fails with PB5007, PB5072. */
export async function emptyDisk(bytes: bigint, path: string): Promise<void> {
  const size = (bytes / MEBI) * MEBI;
  if (size <= 0n) {
    throw new Fault("PB5072", `A disk of ${bytes} bytes cannot be made.`, { cure: "Ask for 1Mi or more: capacity." });
  }
  await making(path, () => runProgram("qemu-img", ["create", "-q", "-f", "qcow2", path, String(size)]));
}

/** The files of a kernelBoot container. Fails with PB5001, PB5004. */
export async function kernelBoot(
  store: ImageStore,
  image: string,
  kernelPath: string | undefined,
  initrdPath: string | undefined,
): Promise<KernelFiles> {
  if ((await store.resolve(image)) === undefined) throw noImage(image);
  if (kernelPath === undefined) {
    throw new Fault("PB5004", "kernelBoot.container has no kernelPath, and an initrd alone starts nothing.", {
      cure: "Add kernelPath, the kernel's path in the image.",
      place: "spec.domain.firmware.kernelBoot.container.kernelPath",
    });
  }
  const kernel = await store.extract(image, kernelPath);
  return initrdPath === undefined ? { kernel } : { kernel, initrd: await store.extract(image, initrdPath) };
}

async function onlyDisk(store: ImageStore, image: string): Promise<string> {
  const files = await store.files(image, DISK_FOLDER);
  const [only, ...more] = files;
  if (only !== undefined && more.length === 0) return `${DISK_FOLDER}/${only}`;
  const found =
    only === undefined ? `no file in ${DISK_FOLDER}` : `several files in ${DISK_FOLDER}: ${files.join(", ")}`;
  throw new Fault("PB5004", `The image ${image} has ${found}.`, {
    cure: "Name the disk with containerDisk.path.",
    place: DISK_FOLDER,
    data: { image, files },
  });
}

/** QEMU's header of a qcow2 file (docs/interop/qcow2.txt). */
const QCOW2_MAGIC = 0x514649fb;
const QCOW2 = { version: 4, backingFile: 8, incompatible: 72, header: 104 } as const;
const EXTERNAL_DATA = 1n << 2n;

/**
 * The format of an image's disk; anything that is not qcow2 is taken as raw, as KubeVirt does.
 *
 * A qcow2 file that leads to another file is refused: that would be one of this machine's.
 */
export async function diskFormat(file: string, image: string, path: string): Promise<"qcow2" | "raw"> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(QCOW2.header), 0, QCOW2.header, 0);
    if (bytesRead < QCOW2.incompatible + 8 || buffer.readUInt32BE(0) !== QCOW2_MAGIC) return "raw";
    const external =
      buffer.readUInt32BE(QCOW2.version) >= 3 && (buffer.readBigUInt64BE(QCOW2.incompatible) & EXTERNAL_DATA) !== 0n;
    if (!external && buffer.readBigUInt64BE(QCOW2.backingFile) === 0n) return "qcow2";
  } finally {
    await handle.close();
  }
  throw new Fault("PB5002", `The disk ${path} of the image ${image} is only a part: it refers to another file.`, {
    cure: "Make it whole with `qemu-img convert -O qcow2`, and build the image again.",
    place: path,
    data: { image, path },
  });
}

/** Makes a disk anew, gives it to QEMU's user, and leaves nothing of it where that fails. */
export async function making(path: string, make: () => Promise<unknown>): Promise<void> {
  try {
    await rm(path, { force: true });
    await make();
    if (process.getuid?.() !== 0) return;
    const { uid, gid } = findQemuUser();
    await chown(path, uid, gid);
  } catch (thrown) {
    await rm(path, { force: true });
    throw isNoSpace(thrown) ? noRoom(dirname(path), thrown) : thrown;
  }
}

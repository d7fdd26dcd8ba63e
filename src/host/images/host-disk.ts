import { constants, type Stats } from "node:fs";
import { access, link, lstat, open, rm, stat, statfs, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { Fault } from "../../model/fault.ts";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { findQemuUser } from "../guest/process.ts";
import { makeFolder } from "../make-folder.ts";
import type { User } from "../setup/users.ts";

/** A disk image among this machine's own files. */
export interface HostDisk {
  readonly path: string;
  /** `DiskOrCreate` makes it, of that many bytes and sparse, where it is missing. */
  readonly type: "Disk" | "DiskOrCreate";
  readonly capacity?: bigint;
}

/**
 * Puts a raw disk image of this machine into a guest's folder under `name`, and gives it to QEMU's user, as KubeVirt does.
 *
 * Only a regular file is taken, and no symbolic link. Fails with PB5072 (no such disk, or none that can be made or used),
 * PB5007.
 */
export async function placeHostDisk(disk: HostDisk, name: string): Promise<void> {
  try {
    const found = await lookAt(disk.path);
    if (found === undefined || isUnfinished(disk, found)) await create(disk);
    else if (!found.isFile()) throw noFile(disk);
    const file = await open(disk.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const held = await file.stat();
      if (!held.isFile()) throw noFile(disk);
      if (process.getuid?.() === 0) {
        const { uid, gid } = findQemuUser();
        await file.chown(uid, gid);
      }
      await rm(name, { force: true });
      await place(disk, name, held);
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (isNoSpace(thrown)) throw noRoom(dirname(disk.path), thrown);
    if (thrown instanceof Fault || !(thrown instanceof Error && "code" in thrown)) throw thrown;
    throw refused(
      disk,
      `cannot be used: ${thrown.message}`,
      "See that the folder is there and may be written.",
      thrown,
    );
  }
}

async function lookAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw thrown;
  }
}

/** One that an earlier call began to make: it was killed, or the disk was full. */
function isUnfinished({ type, capacity }: HostDisk, found: Stats): boolean {
  return type === "DiskOrCreate" && capacity !== undefined && found.isFile() && found.size === 0;
}

async function create(disk: HostDisk): Promise<void> {
  const { path, type, capacity } = disk;
  if (type === "Disk") {
    throw refused(disk, "is not there", "Make it, or write type: DiskOrCreate and a capacity.");
  }
  if (capacity === undefined || capacity <= 0n) {
    throw refused(disk, "is not there, and no capacity says how large it is to be", "Add capacity, such as 1Gi.");
  }
  makeFolder(dirname(path));
  const { bavail, bsize } = await statfs(dirname(path), { bigint: true });
  if (bavail * bsize < capacity) {
    const free = bavail * bsize;
    throw refused(disk, `is to have ${capacity} bytes, and ${free} are free`, "Ask for less, or free some space.");
  }
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    // Another guest's start may have made it meanwhile.
    if ((await file.stat()).size === 0) await file.truncate(Number(capacity));
  } finally {
    await file.close();
  }
}

/** A second name of the file, so that its own folders need not be open to QEMU's user; a way to it from elsewhere. */
async function place(disk: HostDisk, name: string, { dev, ino }: Stats): Promise<void> {
  try {
    await link(disk.path, name);
    const placed = await lstat(name);
    if (placed.dev === dev && placed.ino === ino) return;
    // Somebody put another file there since it was looked at.
    await rm(name, { force: true });
    throw noFile(disk);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && (thrown.code === "EXDEV" || thrown.code === "EMLINK")))
      throw thrown;
  }
  if (process.getuid?.() === 0) await requireWay(disk, findQemuUser());
  else await access(disk.path, constants.R_OK);
  await symlink(disk.path, name);
}

/** Every folder on the way must let QEMU's user pass. */
async function requireWay(disk: HostDisk, user: User): Promise<void> {
  for (let folder = dirname(disk.path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const passes = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if ((mode & passes) === 0) {
      throw refused(disk, `lies below ${folder}, which QEMU's user may not pass`, `Run \`chmod o+x ${folder}\`.`);
    }
    if (folder === dirname(folder)) return;
  }
}

function noFile(disk: HostDisk): Fault {
  return refused(disk, "is no regular file", "Name the file itself, which holds a raw disk.");
}

function refused({ path }: HostDisk, why: string, cure: string, cause?: unknown): Fault {
  return new Fault("PB5072", `The host disk ${path} ${why}.`, { cure, place: path, cause, data: { path } });
}

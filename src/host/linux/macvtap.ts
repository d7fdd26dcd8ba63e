import * as fs from "node:fs";
import { Fault } from "../../model/fault.ts";
import { checked, errnoOf, fileFault, libc } from "./libc.ts";
import { within } from "./netns.ts";
import { openQueues } from "./tap.ts";

// include/uapi/asm-generic/unistd.h and linux/mount.h.
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
const S_IFCHR = 0o020000;

const mknod = libc<[path: string, mode: number, device: number], number>(
  "int mknod(const char *path, uint mode, ulong dev)",
);

// By number: the C library has them by name since 2.36 only.
const fsopen = libc<[call: number, type: string, flags: number], number>(
  "long syscall(long call, const char *type, uint flags)",
);
const fsconfig = libc<[call: number, fd: number, command: number, key: null, value: null, aux: number], number>(
  "long syscall(long call, int fd, uint command, const char *key, const void *value, int aux)",
);
const fsmount = libc<[call: number, fd: number, flags: number, attributes: number], number>(
  "long syscall(long call, int fd, uint flags, uint attributes)",
);

/**
 * Opens the macvtap called `name` of the namespace at `netns`: one fd a queue, in QEMU's setting, as `openTap` gives them.
 * The link lives on when they are closed.
 *
 * `/dev/tapN` is not used: N is an index of the namespace, so that two pods' devices have the same name, and the folder
 * need not have it. What says which device it is, and the device itself, are on file systems that nobody else sees and
 * that end with their fds.
 *
 * @throws Fault PB4002 where there is no such macvtap, PB4018 where the kernel does not open it.
 */
export function openMacvtap(netns: string, name: string, queues: number): number[] {
  return within(netns, () => {
    const { major, minor } = deviceOf(name);
    const folder = detached("tmpfs");
    try {
      const node = `/proc/self/fd/${folder}/tap`;
      checked("mknod", name, mknod(node, S_IFCHR | 0o600, deviceNumber(major, minor)));
      return openQueues(node, name, queues, 0);
    } finally {
      fs.closeSync(folder);
    }
  });
}

/** What a link of the current namespace has as its alias; undefined where there is no such link. */
export function linkAlias(name: string): string | undefined {
  const sysfs = detached("sysfs");
  try {
    return fs.readFileSync(`/proc/self/fd/${sysfs}/class/net/${name}/ifalias`, "utf8").trim();
  } catch {
    return undefined;
  } finally {
    fs.closeSync(sysfs);
  }
}

/** The character device of a macvtap of the current namespace, as sysfs tells it. */
function deviceOf(name: string): { readonly major: number; readonly minor: number } {
  const sysfs = detached("sysfs");
  try {
    const folder = `/proc/self/fd/${sysfs}/class/net/${name}`;
    const tap = fs.readdirSync(folder).find((entry) => /^tap\d+$/.test(entry));
    if (tap === undefined) throw noMacvtap(name, "is none");
    const [, major, minor] = /^(\d+):(\d+)$/.exec(fs.readFileSync(`${folder}/${tap}/dev`, "utf8").trim()) ?? [];
    return { major: Number(major), minor: Number(minor) };
  } catch (thrown) {
    const fault = fileFault(thrown, name);
    throw errnoOf(fault) === "ENOENT" ? noMacvtap(name, "is not there") : fault;
  } finally {
    fs.closeSync(sysfs);
  }
}

/** A file system of its own, mounted nowhere; sysfs shows the current namespace's links. */
function detached(type: string): number {
  const context = checked("fsopen", type, fsopen(SYS_FSOPEN, type, FSOPEN_CLOEXEC));
  try {
    checked("fsconfig", type, fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0));
    return checked("fsmount", type, fsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, 0));
  } finally {
    fs.closeSync(context);
  }
}

/** makedev(3). */
function deviceNumber(major: number, minor: number): number {
  return Number(
    (BigInt(major & ~0xfff) << 32n) |
      (BigInt(major & 0xfff) << 8n) |
      (BigInt(minor & ~0xff) << 12n) |
      BigInt(minor & 0xff),
  );
}

function noMacvtap(name: string, what: string): Fault {
  return new Fault("PB4002", `The pod's macvtap "${name}" ${what}.`, {
    place: name,
    cure: "Delete the VMI and apply it again; its network makes the link anew.",
    data: { name },
  });
}

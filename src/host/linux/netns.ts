import * as fs from "node:fs";
import { Fault } from "../../model/fault.ts";
import {
  callFault,
  checked,
  errnoName,
  errnoOf,
  fileFault,
  flock,
  ioctl,
  LOCK_EX,
  lastErrno,
  mount,
  SOCK_CLOEXEC,
  setns,
  socket,
  umount2,
  unshare,
} from "./libc.ts";

/** The folder of named network namespaces, as ip-netns(8) has it. */
export const NETNS_DIR = "/run/netns";

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SHARED = 0x100000;
const MNT_DETACH = 2;
const NSFS_MAGIC = 0x6e736673;
const HERE = "/proc/thread-self/ns/net";

/** Where the main thread is: the fd of the namespace that the process started in, or of the innermost `within`. */
let here: number | undefined;

/**
 * Starts libuv's thread pool in the namespace that the process started in.
 *
 * Threads inherit the namespace of the thread that creates them, and libuv creates its pool at the first asynchronous
 * file operation. {@link within} makes sure of it by itself; a daemon awaits this at its start, so that the first pod
 * does not pay for it. Worker threads must be created outside of `within` likewise.
 */
export async function startThreads(): Promise<void> {
  startingPoint();
  await fs.promises.access("/");
}

function startingPoint(): number {
  if (here === undefined) {
    here = fs.openSync(HERE, "r");
    // libuv creates all threads of its pool before this returns.
    fs.access("/", () => {});
  }
  return here;
}

/** The way back must not fail: the daemon would go on in a pod's namespace. */
function goBack(fd: number): void {
  const result = setns(fd, CLONE_NEWNET);
  const errno = result < 0 ? lastErrno() : 0;
  if (result === 0) return;
  fs.writeSync(2, `patchbay: cannot leave a network namespace (setns: ${errnoName(errno)}); aborting.\n`);
  process.abort();
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/**
 * Runs `fn` with the main thread in the network namespace at `netnsPath` and returns to where it was. Nests.
 *
 * Synchronous: what `fn` leaves for later (a promise, a `server.listen`, a `net.connect`, `dgram.bind`) happens in the
 * host namespace, therefore a thenable is refused with a TypeError. What does happen inside: synchronous file
 * operations below /proc/sys/net, sockets made by socket(2), and the start of child processes. /sys does not follow.
 *
 * @throws Fault PB4012 where there is no such namespace.
 */
export function within<T>(netnsPath: string, fn: () => T extends PromiseLike<unknown> ? never : T): T {
  if (Object.prototype.toString.call(fn) === "[object AsyncFunction]") {
    throw new TypeError("within() takes a synchronous function: what follows an await would run in another namespace");
  }
  const outer = startingPoint();
  const inner = openNetns(netnsPath);
  try {
    const entered = setns(inner, CLONE_NEWNET);
    const errno = entered < 0 ? lastErrno() : 0;
    if (entered < 0) throw notANetns(netnsPath, callFault("setns", netnsPath, errno));
    here = inner;
    let result: T;
    try {
      result = fn();
    } finally {
      goBack(outer);
      here = outer;
    }
    if (isThenable(result)) {
      throw new TypeError("within() takes a synchronous function, and this one returned a promise");
    }
    return result;
  } finally {
    fs.closeSync(inner);
  }
}

function openNetns(path: string): number {
  try {
    return fs.openSync(path, "r");
  } catch (cause) {
    throw notANetns(path, fileFault(cause, path));
  }
}

/** PB4012 where the errno says that there is no namespace; any other failure (EPERM, EMFILE) as it is. */
function notANetns(path: string, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno !== "ENOENT" && errno !== "ENOTDIR" && errno !== "EINVAL") return cause;
  return new Fault("PB4012", `There is no network namespace at ${path}.`, {
    place: path,
    cure: "Somebody deleted it, or it was made in another mount namespace (ip netns exec has one of its own).",
    cause,
  });
}

/** The namespace that this process is in. */
export const OWN_NETNS = "/proc/self/ns/net";

/** The path of the namespace called `name`. @throws Fault PB4013 for what cannot be a name. */
export function netnsPath(name: string): string {
  if (!/^[A-Za-z0-9_.-]{1,200}$/.test(name) || name === "." || name === "..") {
    throw new Fault("PB4013", `"${name}" cannot be the name of a network namespace.`, {
      cure: "Use letters, digits, '-', '_' and '.', at most 200 of them.",
      place: NETNS_DIR,
    });
  }
  return `${NETNS_DIR}/${name}`;
}

/**
 * Makes a network namespace called `name`, with `lo` up, and returns its path; `ip netns` sees it too.
 *
 * No process is forked. The name is a bind mount, made in the mount namespace of the calling process: below
 * `ip netns exec`, whose mount namespace is its own, it is not seen from outside; `nsenter --net=PATH` has no such
 * limit.
 *
 * @throws Fault PB4014 where the name is taken, PB4010 where the kernel refuses.
 */
export function createNetns(name: string): string {
  const path = netnsPath(name);
  shareDirectory();
  try {
    fs.closeSync(fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_CREAT | fs.constants.O_EXCL, 0o444));
  } catch (thrown) {
    const cause = fileFault(thrown, path);
    if (errnoOf(cause) !== "EEXIST") throw cause;
    throw new Fault("PB4014", `The network namespace ${name} cannot be made: ${path} exists.`, {
      place: path,
      cure: `If nothing uses it, delete it: ip netns delete ${name}.`,
      cause,
    });
  }
  const outer = startingPoint();
  try {
    checked("unshare", "a network namespace", unshare(CLONE_NEWNET));
    try {
      checked("mount", path, mount(HERE, path, "none", MS_BIND, null));
      raiseLoopback();
    } finally {
      goBack(outer);
    }
  } catch (thrown) {
    deleteNetns(name);
    throw thrown;
  }
  return path;
}

/** Makes the folder of names a shared mount of its own, as ip-netns(8) does, so that other mount namespaces follow. */
function shareDirectory(): void {
  try {
    fs.mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 });
  } catch (thrown) {
    throw fileFault(thrown, NETNS_DIR);
  }
  if (makeShared() === 0) return;
  const lock = fs.openSync(NETNS_DIR, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    checked("flock", NETNS_DIR, flock(lock, LOCK_EX));
    const errno = makeShared();
    if (errno === 0) return;
    if (errnoName(errno) !== "EINVAL") throw callFault("mount", NETNS_DIR, errno);
    checked("mount", NETNS_DIR, mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, null));
    checked("mount", NETNS_DIR, mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, null));
  } finally {
    fs.closeSync(lock);
  }
}

/** Zero, or an errno; EINVAL: the folder is no mount point yet. */
function makeShared(): number {
  const result = mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, null);
  return result < 0 ? lastErrno() : 0;
}

/** `ip link set lo up` in the current namespace, by SIOCSIFFLAGS of netdevice(7). */
function raiseLoopback(): void {
  const [AF_INET, SOCK_DGRAM, SIOCSIFFLAGS, IFF_UP, IFNAMSIZ] = [2, 2, 0x8914, 1, 16];
  const fd = checked("socket", "lo", socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    const request = new Uint8Array(40);
    request.set(new TextEncoder().encode("lo"));
    new DataView(request.buffer).setInt16(IFNAMSIZ, IFF_UP, true);
    checked("ioctl SIOCSIFFLAGS", "lo", ioctl(fd, SIOCSIFFLAGS, request));
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Takes the name away; the kernel removes the namespace itself, with every link in it, once no process, socket or fd
 * is left in it (about 18 ms later, in the background). What is not there is fine.
 */
export function deleteNetns(name: string): void {
  const path = netnsPath(name);
  for (;;) {
    const result = umount2(path, MNT_DETACH);
    const errno = result < 0 ? lastErrno() : 0;
    if (result === 0) continue;
    // EINVAL: not, or no longer, a mount point.
    if (errnoName(errno) === "EINVAL" || errnoName(errno) === "ENOENT") break;
    throw callFault("umount2", path, errno);
  }
  try {
    fs.unlinkSync(path);
  } catch (thrown) {
    const fault = fileFault(thrown, path);
    if (errnoOf(fault) !== "ENOENT") throw fault;
  }
}

/** True where a living namespace is at the path; the plain file that a reboot leaves of a name is none. */
export function isNetns(path: string): boolean {
  try {
    return fs.statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** The names that begin with `prefix`, sorted; with them names whose namespace is gone, which {@link deleteNetns} takes. */
export function listNetns(prefix: string): string[] {
  try {
    return fs
      .readdirSync(NETNS_DIR)
      .filter((name) => name.startsWith(prefix))
      .sort();
  } catch {
    return [];
  }
}

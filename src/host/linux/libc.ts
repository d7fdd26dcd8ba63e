import { constants } from "node:os";
import koffi from "koffi";
import { Fault } from "../../model/fault.ts";

/**
 * A function of a shared library, resolved at its first call, so that importing a module never needs the library.
 *
 * `definition` is a C prototype as koffi reads it. koffi has no `ssize_t`: write `long`. Buffers go in as `void *`.
 */
export function foreign<Arguments extends readonly unknown[], Result>(
  library: string,
  definition: string,
): (...args: Arguments) => Result {
  let resolved: ((...args: Arguments) => Result) | undefined;
  return (...args) => {
    resolved ??= open(library).func(definition) as unknown as (...args: Arguments) => Result;
    return resolved(...args);
  };
}

/** A function of the C library; see {@link foreign}. */
export function libc<Arguments extends readonly unknown[], Result>(definition: string): (...args: Arguments) => Result {
  return foreign("libc.so.6", definition);
}

const libraries = new Map<string, ReturnType<typeof koffi.load>>();

function open(library: string): ReturnType<typeof koffi.load> {
  const known = libraries.get(library);
  if (known !== undefined) return known;
  try {
    const loaded = koffi.load(library);
    libraries.set(library, loaded);
    return loaded;
  } catch (cause) {
    throw new Fault("PB4011", `The shared library ${library} cannot be loaded.`, {
      cure: "Run ./patchbay setup, which installs what the machine lacks.",
      place: library,
      cause,
    });
  }
}

const strerror = libc<[errno: number], string>("const char *strerror(int errnum)");

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno)
    .reverse()
    .map(([name, value]) => [value, name]),
);

/** The errno of the thread's last failed call. Read it in the statement after the call: any call between destroys it. */
export function lastErrno(): number {
  return koffi.errno();
}

/** `ENOENT` for 2; `errno 133` where Node knows no name. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** `No such file or directory` for 2, as strerror(3) says it. */
export function errnoSentence(errno: number): string {
  return strerror(errno);
}

/** What can be done about an errno that has the same cause wherever it turns up. */
export function errnoCure(errno: number): string | undefined {
  switch (errnoName(errno)) {
    case "EPERM":
    case "EACCES":
      return "Patchbay's node needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN: run it as root.";
    case "EMFILE":
      return "Raise the limit of open files (ulimit -n) of the daemon.";
    case "ENFILE":
      return "Raise the system's limit of open files (sysctl fs.file-max).";
    case "ENOMEM":
    case "ENOBUFS":
      return "The machine is short of memory: free some, or run fewer VMs.";
    default:
      return undefined;
  }
}

/** The error for a call that failed with `errno`: PB4010, with `call`, `errno` (its name) and `about` as data. */
export function callFault(call: string, about: string, errno: number): Fault {
  const cure = errnoCure(errno);
  return new Fault("PB4010", `${call} of ${about} failed: ${errnoSentence(errno)} (${errnoName(errno)}).`, {
    place: about,
    data: { call, errno: errnoName(errno), about },
    ...(cure === undefined ? {} : { cure }),
  });
}

/**
 * `result` of a call that tells failure by a negative number, or a Fault PB4010.
 *
 * Write the call itself as the last argument: `checked("setns", path, setns(fd, CLONE_NEWNET))`; then nothing runs
 * between it and the reading of errno.
 */
export function checked(call: string, about: string, result: number): number {
  const errno = result < 0 ? koffi.errno() : 0;
  if (result < 0) throw callFault(call, about, errno);
  return result;
}

/** The Fault PB4010 for a failure of `node:fs`; what is no such failure comes back as it is. */
export function fileFault(thrown: unknown, path: string): unknown {
  if (!(thrown instanceof Error) || !("errno" in thrown) || typeof thrown.errno !== "number") return thrown;
  const call = "syscall" in thrown && typeof thrown.syscall === "string" ? thrown.syscall : "a file operation";
  return callFault(call, path, -thrown.errno);
}

/** The name of the errno that a Fault of {@link callFault} carries (`ENODEV`), else undefined. */
export function errnoOf(thrown: unknown): string | undefined {
  const name = thrown instanceof Fault ? thrown.data["errno"] : undefined;
  return typeof name === "string" ? name : undefined;
}

/** setns(2). */
export const setns = libc<[fd: number, type: number], number>("int setns(int fd, int nstype)");
/** unshare(2). */
export const unshare = libc<[flags: number], number>("int unshare(int flags)");
/** mount(2). */
export const mount = libc<
  [source: string | null, target: string, type: string | null, flags: number, data: string | null],
  number
>("int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)");
/** umount2(2). */
export const umount2 = libc<[target: string, flags: number], number>("int umount2(const char *target, int flags)");
/** Operations of flock(2): an exclusive lock, and not to wait for it. */
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
/** flock(2). */
export const flock = libc<[fd: number, operation: number], number>("int flock(int fd, int operation)");
/** ioctl(2) with a pointer argument. */
export const ioctl = libc<[fd: number, request: number, argument: Uint8Array], number>(
  "int ioctl(int fd, ulong request, void *argument)",
);
/** socket(2). */
export const socket = libc<[domain: number, type: number, protocol: number], number>(
  "int socket(int domain, int type, int protocol)",
);
/** bind(2). */
export const bind = libc<[fd: number, address: Uint8Array, length: number], number>(
  "int bind(int fd, const void *address, uint length)",
);
/** setsockopt(2). */
export const setsockopt = libc<[fd: number, level: number, option: number, value: Uint8Array, length: number], number>(
  "int setsockopt(int fd, int level, int option, const void *value, uint length)",
);
/** send(2). */
export const send = libc<[fd: number, data: Uint8Array, length: number, flags: number], number>(
  "long send(int fd, const void *data, size_t length, int flags)",
);
/** recv(2). */
export const recv = libc<[fd: number, data: Uint8Array, length: number, flags: number], number>(
  "long recv(int fd, void *data, size_t length, int flags)",
);

/** Close-on-exec flag of socket(2), SOCK_CLOEXEC: everything opened here has it, QEMU gets its fds by spawn alone. */
export const SOCK_CLOEXEC = 0o2000000;

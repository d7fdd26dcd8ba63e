import { once } from "node:events";
import * as fs from "node:fs";
import { connect, Socket } from "node:net";

// A guest's folder is QEMU's user's: what has a name there may be a link to anything, put there by a guest that broke out
// of its QEMU. Whoever acts as root looks at what it opens, not at its name.

/** open(2): only a place in the file system, which Node has no name for. */
const O_PATH = 0o10000000;
const CONNECT_MS = 5_000;

/**
 * Opens a new, empty file in a guest's folder for writing; whatever has its name is removed, and never followed.
 *
 * Throws what the file system says, of a folder of that name too.
 */
export function createFile(path: string, mode: number): number {
  removeName(path);
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  return fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

/** Removes a file or link by its name; nothing where there is none. Throws what the file system says. */
export function removeName(path: string): void {
  try {
    fs.unlinkSync(path);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT")) throw thrown;
  }
}

/**
 * Lets `use` have another path of the socket at `path`, which stands for that very socket as long as it runs.
 *
 * Throws what the file system says, and EINVAL where it is no socket, or one with further names.
 */
export function withSocket<T>(path: string, use: (path: string) => T): T {
  const fd = fs.openSync(path, O_PATH | fs.constants.O_NOFOLLOW);
  try {
    const stat = fs.fstatSync(fd);
    if (!stat.isSocket() || stat.nlink !== 1) {
      throw Object.assign(new Error(`EINVAL: ${path} is no socket of the guest's own`), { code: "EINVAL", errno: -22 });
    }
    return use(`/proc/self/fd/${fd}`);
  } finally {
    fs.closeSync(fd);
  }
}

/** A connection to the socket at `path` in a guest's folder, as `connect` of node:net: what fails is its event `error`. */
export function connectSocket(path: string): Socket {
  try {
    // The connection is asked for within this call: no name is looked up.
    return withSocket(path, (same) => connect(same));
  } catch (thrown) {
    return new Socket().destroy(thrown instanceof Error ? thrown : new Error(String(thrown)));
  }
}

/**
 * That connection once it stands.
 *
 * @throws what it failed with; an AbortError after 5 s without an answer
 */
export async function connectedSocket(path: string): Promise<Socket> {
  const socket = connectSocket(path);
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_MS) });
    return socket;
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  }
}

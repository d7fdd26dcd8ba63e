import { closeSync } from "node:fs";
import { callFault, checked, ioctl, lastErrno, libc, SOCK_CLOEXEC, socket } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const FIONBIO = 0x5421;

const connect = libc<[fd: number, address: Uint8Array, length: number], number>(
  "int connect(int fd, const void *address, uint length)",
);

/**
 * A blocking stream socket that is connected to the listener at `path`, for another process: nothing is read from it
 * here. The caller closes it.
 *
 * `about` is what messages name. Never waits: where the listener has more callers than it takes, it is EAGAIN.
 *
 * @throws Fault PB4010
 */
export function unixConnection(path: string, about: string = path): number {
  const fd = checked("socket", about, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  try {
    const name = new TextEncoder().encode(path);
    const address = new Uint8Array(2 + name.length + 1);
    new DataView(address.buffer).setUint16(0, AF_UNIX, true);
    address.set(name, 2);
    const result = connect(fd, address, address.length);
    const errno = result < 0 ? lastErrno() : 0;
    if (result < 0) throw callFault("connect", about, errno);
    checked("ioctl FIONBIO", about, ioctl(fd, FIONBIO, new Uint8Array(4)));
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

import * as fs from "node:fs";
import { Fault } from "../../model/fault.ts";
import { checked, errnoCure, errnoOf, fileFault, ioctl } from "./libc.ts";

const DEVICE = "/dev/net/tun";
const TUNSETIFF = 0x400454ca;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const IFF_TUN_EXCL = 0x8000;
/** `struct virtio_net_hdr_v1`, which QEMU's virtio-net wants. */
const VNET_HEADER_OCTETS = 12;
/** The kernel's MAX_TAP_QUEUES. */
const MAX_QUEUES = 256;

/**
 * Makes a tap in the current namespace and gives one fd a queue, in QEMU's setting: virtio-net header, no packet
 * information. The tap is not persistent: the kernel deletes it when its last fd is closed.
 *
 * @throws Fault PB4018 where the name is taken or cannot be one, or the machine has no taps.
 */
export function openTap(name: string, queues: number): number[] {
  return openQueues(DEVICE, name, queues, IFF_TUN_EXCL);
}

/**
 * Opens the queues of a tap that somebody else made in the current namespace, such as a binding plugin's CNI; it is
 * persistent, and stays when they are closed.
 *
 * @throws Fault PB4018 where it is held by somebody, or has not so many queues.
 */
export function openExistingTap(name: string, queues: number): number[] {
  return openQueues(DEVICE, name, queues, 0);
}

/**
 * Opens a character device once for each queue of the link called `name` and brings it into QEMU's setting. `first` are
 * more flags for the first queue.
 */
export function openQueues(device: string, name: string, queues: number, first: number): number[] {
  const octets = new TextEncoder().encode(name);
  if (octets.length === 0 || octets.length > 15 || /[\s/:%\0]/.test(name)) {
    throw tapFault(device, name, "this cannot be the name of a link", "Use at most 15 letters and digits.");
  }
  if (!Number.isInteger(queues) || queues < 1 || queues > MAX_QUEUES) {
    throw tapFault(device, name, `${queues} is no number of queues`, `Ask for 1 to ${MAX_QUEUES} queues.`);
  }
  const fds: number[] = [];
  try {
    for (let queue = 0; queue < queues; queue += 1) {
      const fd = fs.openSync(device, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
      fds.push(fd);
      const request = new Uint8Array(40);
      request.set(octets);
      const flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0) | (queue === 0 ? first : 0);
      new DataView(request.buffer).setUint16(16, flags, true);
      checked("ioctl TUNSETIFF", name, ioctl(fd, TUNSETIFF, request));
      checked("ioctl TUNSETVNETHDRSZ", name, ioctl(fd, TUNSETVNETHDRSZ, Uint8Array.of(VNET_HEADER_OCTETS, 0, 0, 0)));
    }
    return fds;
  } catch (thrown) {
    closeFdsNow(fds);
    throw explained(device, name, fileFault(thrown, device));
  }
}

function explained(device: string, name: string, fault: unknown): unknown {
  switch (errnoOf(fault)) {
    case "EBUSY":
      return tapFault(
        device,
        name,
        "another link has this name, or somebody holds it open",
        `Delete it in the pod: ip link delete ${name}.`,
        fault,
      );
    case "EINVAL":
      return tapFault(
        device,
        name,
        "it was made with one queue",
        `Let its maker make it with more: ip tuntap add ${name} mode tap multi_queue vnet_hdr; or switch networkInterfaceMultiqueue off.`,
        fault,
      );
    case "ENOENT":
      return tapFault(device, name, `${device} is missing`, `mkdir -p /dev/net && mknod ${DEVICE} c 10 200`, fault);
    case "ENODEV":
      return tapFault(device, name, "this kernel has no tun driver", "modprobe tun", fault);
    case "EPERM":
      return tapFault(device, name, "the kernel does not permit it", errnoCure(1) ?? "", fault);
    case "E2BIG":
      return tapFault(device, name, "the kernel allows fewer queues", "Ask for fewer queues.", fault);
    default:
      return fault;
  }
}

function tapFault(device: string, name: string, reason: string, cure: string, cause?: unknown): Fault {
  const errno = errnoOf(cause);
  return new Fault("PB4018", `The tap "${name}" cannot be ${device === DEVICE ? "made" : "opened"}: ${reason}.`, {
    place: name,
    cure,
    data: { name, ...(errno === undefined ? {} : { errno }) },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Closes fds in libuv's pool: the last one of a tap takes 18 to 31 ms, which the main thread must not spend. */
export async function closeFds(fds: readonly number[]): Promise<void> {
  await Promise.all(
    fds.map(
      (fd) =>
        new Promise<void>((resolve, reject) => {
          fs.close(fd, (error) => (error === null ? resolve() : reject(fileFault(error, `fd ${fd}`))));
        }),
    ),
  );
}

/** Closes fds and returns when the tap is gone. For undoing: it may block for 30 ms a tap. */
export function closeFdsNow(fds: readonly number[]): void {
  for (const fd of fds) fs.closeSync(fd);
}

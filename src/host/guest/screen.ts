import type { Duplex } from "node:stream";
import { Fault } from "../../model/fault.ts";
import { connectSocket } from "./guest-folder.ts";

const CONNECT_MS = 5_000;

/**
 * A guest's screen as a stream of bytes: RFB (RFC 6143), as QEMU's VNC server speaks it on that socket. Several may look at once.
 *
 * @throws Fault PB5078
 */
export function openScreen(socketPath: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(socketPath);
    const fail = (cause?: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(
        new Fault("PB5078", "The guest's screen does not answer.", {
          cure: "A guest that was started by an earlier version has none: start it anew.",
          place: socketPath,
          ...(cause === undefined ? {} : { cause }),
        }),
      );
    };
    const timer = setTimeout(fail, CONNECT_MS);
    socket.once("error", fail);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

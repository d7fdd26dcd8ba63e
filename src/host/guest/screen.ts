import type { Duplex } from "node:stream";
import { Fault } from "../../model/fault.ts";
import { connectedSocket } from "./guest-folder.ts";

/**
 * A guest's screen as a stream of bytes: RFB (RFC 6143), as QEMU's VNC server speaks it on that socket. Several may look at once.
 *
 * @throws Fault PB5078
 */
export async function openScreen(socketPath: string): Promise<Duplex> {
  try {
    return await connectedSocket(socketPath);
  } catch (cause) {
    throw new Fault("PB5078", "The guest's screen does not answer.", {
      cure: "A guest that was started by an earlier version has none: start it anew.",
      place: socketPath,
      cause,
    });
  }
}

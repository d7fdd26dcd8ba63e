import { parseIp } from "../../model/addresses/ip.ts";
import { parseMac } from "../../model/addresses/mac.ts";
import { Fault } from "../../model/fault.ts";
import { announcementFrame } from "../../model/serve/announce.ts";
import type { Announcement } from "../../model/wiring/wiring.ts";
import { sendFrames } from "../linux/sockets.ts";

/**
 * Tells the neighbours of a pod's devices which MAC its addresses have now: one gratuitous ARP or one unsolicited
 * neighbour advertisement each. Synchronous, about a system call each.
 *
 * @throws Fault PB4041 where an announcement's address or MAC is none (nothing is sent then), PB4010 where the kernel
 * refuses, PB4015 where there is no such device, PB4012 where there is no such namespace.
 */
export function announce(netns: string, announcements: readonly Announcement[]): void {
  if (announcements.length === 0) return;
  const frames = announcements.map(({ device, address, mac }) => {
    const [ip, hardware] = [parseIp(address), parseMac(mac)];
    if (ip === undefined || hardware === undefined) {
      throw new Fault("PB4041", `${address} at ${mac} cannot be announced on ${device}: that is no address and MAC.`, {
        place: `${netns}: ${device}`,
      });
    }
    return { device, bytes: announcementFrame(ip, hardware) };
  });
  sendFrames(netns, frames);
}

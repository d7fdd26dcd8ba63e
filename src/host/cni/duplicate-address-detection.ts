import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { isFault } from "../../model/fault.ts";
import { within } from "../linux/netns.ts";

const KEY = "/proc/sys/net/ipv6/conf/default/accept_dad";

/** By namespace: how many want it off, and what it was. */
const off = new Map<string, { users: number; readonly before: string }>();

/**
 * Switches duplicate address detection off for the links to come of a namespace, until the returned function is called.
 *
 * IPAM gives each address out once, and plugins wait in ADD until detection is over: 50 ms with the bridge plugin and
 * its hairpin mode, 1.5 s with ptp.
 */
export function withoutDetection(netns: string): () => void {
  const shared = off.get(netns);
  if (shared !== undefined) shared.users += 1;
  else {
    const before = within(netns, () => {
      if (!existsSync(KEY)) return undefined;
      const value = readFileSync(KEY, "utf8");
      writeFileSync(KEY, "0");
      return value;
    });
    if (before === undefined) return () => {};
    off.set(netns, { users: 1, before });
  }
  return () => {
    const entry = off.get(netns);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    off.delete(netns);
    try {
      within(netns, () => writeFileSync(KEY, entry.before));
    } catch (thrown) {
      // The namespace was deleted meanwhile.
      if (!isFault(thrown, "PB4012")) throw thrown;
    }
  };
}

import { Fault } from "../../model/fault.ts";
import { libc } from "./libc.ts";

const RLIMIT_MEMLOCK = 8;
/** Beside the guest's memory, that of its devices (reference 4.9). */
const MARGIN = 1n << 30n;

const getrlimit = libc<[resource: number, limit: Uint8Array], number>("int getrlimit(int resource, void *limit)");
const setrlimit = libc<[resource: number, limit: Uint8Array], number>("int setrlimit(int resource, const void *limit)");

/**
 * Runs `start` while processes that begin may lock as many bytes and a margin, or more where they may already, as those
 * that drive devices by VFIO do; then this process's own limit is as it was. `start` begins them before it returns.
 *
 * @throws Fault PB4211 where the limit cannot be raised
 */
export function withLockedMemory<T>(bytes: bigint, start: () => T extends PromiseLike<unknown> ? never : T): T {
  const before = new Uint8Array(16);
  if (getrlimit(RLIMIT_MEMLOCK, before) < 0) return start();
  const now = new DataView(before.buffer);
  const limits = raisedLimits(now.getBigUint64(0, true), now.getBigUint64(8, true), bytes);
  if (limits === undefined) return start();
  const raised = new Uint8Array(16);
  const view = new DataView(raised.buffer);
  view.setBigUint64(0, limits.soft, true);
  view.setBigUint64(8, limits.hard, true);
  if (setrlimit(RLIMIT_MEMLOCK, raised) < 0) {
    throw new Fault("PB4211", `No process may lock the ${limits.soft >> 20n} MiB that a guest with a device needs.`, {
      place: "RLIMIT_MEMLOCK",
      cure: "Run the daemon as root, and raise its limit: LimitMEMLOCK=infinity in its unit, or ulimit -l unlimited.",
    });
  }
  try {
    return start();
  } finally {
    setrlimit(RLIMIT_MEMLOCK, before);
  }
}

/** The limits under which so many bytes and a margin may be locked; undefined where they may be under the present ones. */
export function raisedLimits(
  soft: bigint,
  hard: bigint,
  bytes: bigint,
): { readonly soft: bigint; readonly hard: bigint } | undefined {
  const wanted = bytes + MARGIN;
  return soft >= wanted ? undefined : { soft: wanted, hard: hard > wanted ? hard : wanted };
}

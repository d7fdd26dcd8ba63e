import type { RunningGuest } from "../host/guest/running-guest.ts";
import { Fault } from "../model/fault.ts";

/** Guests that QEMU stops because a disk of theirs cannot be written, or read. */
export interface StalledGuests {
  /** Lets a pod's guest go on where QEMU stopped it: the disk is tried again. PB5084, where it had to; undefined else. */
  retry(podUid: string, guest: RunningGuest): Promise<Fault | undefined>;
  forget(podUid: string): void;
}

interface Followed {
  readonly guest: RunningGuest;
  readonly unfollow: () => void;
  isStalled: boolean;
}

/** `stopped` hears of a guest that was stopped just now, by whomever. */
export function stalledGuests(stopped: (podUid: string) => void): StalledGuests {
  const followed = new Map<string, Followed>();

  function follow(podUid: string, guest: RunningGuest): Followed {
    const known = followed.get(podUid);
    if (known?.guest === guest) return known;
    known?.unfollow();
    const unfollow = guest.qmp.onEvent(({ name }) => {
      // One that is known to stand still stops again with each try.
      if (name === "STOP" && !made.isStalled) stopped(podUid);
    });
    const made: Followed = { guest, unfollow, isStalled: false };
    followed.set(podUid, made);
    return made;
  }

  return {
    async retry(podUid, guest) {
      const one = follow(podUid, guest);
      const failed = await guest.retryDisks();
      one.isStalled = failed !== undefined;
      return failed && standsStill(failed, guest.record.runDir);
    },
    forget(podUid) {
      followed.get(podUid)?.unfollow();
      followed.delete(podUid);
    },
  };
}

type FailedDisks = NonNullable<Awaited<ReturnType<RunningGuest["retryDisks"]>>>;

function standsStill(disks: FailedDisks, runDir: string): Fault {
  const named = (some: FailedDisks): string => some.map(({ name }) => `"${name}"`).join(", ");
  const full = disks.filter(({ noSpace }) => noSpace);
  const [first] = full;
  if (first === undefined) {
    return new Fault("PB5084", `The guest stands still: its disk ${named(disks)} cannot be read or written.`, {
      cure: "See what this machine's kernel says of its own disks (dmesg). The guest goes on by itself once they do.",
    });
  }
  return new Fault("PB5084", `The guest stands still: no room is left for what it writes on its disk ${named(full)}.`, {
    cure: `Free some on this machine (df ${runDir}/${first.name}.* shows where): the guest goes on by itself.`,
  });
}

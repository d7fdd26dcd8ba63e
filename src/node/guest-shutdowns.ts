import { uptime } from "node:os";
import type { RunningGuest } from "../host/guest/running-guest.ts";
import type { PodRecords, Shutdown } from "./records.ts";

/**
 * Guests that were asked to shut down, each with its own time. Nobody waits here: a pod is to be looked at again when its
 * guest ends, or when its time is up.
 */
export interface GuestShutdowns {
  /**
   * Presses the power button of a pod's guest, once, and says how many milliseconds it still has to shut down; 0: it is to
   * be ended.
   *
   * The time runs from the first asking, whoever asks, under the next daemon too. A shorter `graceSeconds` cuts it, a longer
   * one does not extend it; without one it is as it was, or the default.
   */
  ask(
    podUid: string,
    guest: Pick<RunningGuest, "pressPowerButton">,
    graceSeconds: number | undefined,
    why?: Shutdown["why"],
  ): number;
  /** Why a guest is being ended though its pod stays. */
  why(podUid: string): Shutdown["why"];
  forget(podUid: string): void;
}

export interface GuestShutdownsOptions {
  readonly records: PodRecords;
  /** Hears why an asking could not be kept, or a power button could not be pressed. */
  readonly failed: (podUid: string, error: unknown) => void;
}

const DEFAULT_GRACE_SECONDS = 30;

/**
 * Keeps each asking with its pod's record. Where that fails it holds as long as this process lives: a full disk must not
 * keep anybody from ending a guest.
 */
export function guestShutdowns({ records, failed }: GuestShutdownsOptions): GuestShutdowns {
  /** Those whose power button this process has pressed. */
  const asked = new Map<string, Shutdown>();
  const known = (podUid: string): Shutdown | undefined => asked.get(podUid) ?? records.get(podUid)?.shutdown;

  function keep(podUid: string, shutdown: Shutdown): void {
    const record = records.get(podUid);
    if (record === undefined) return;
    const { since, graceSeconds } = record.shutdown ?? {};
    if (since === shutdown.since && graceSeconds === shutdown.graceSeconds) return;
    try {
      records.put({ ...record, shutdown });
    } catch (error) {
      failed(podUid, error);
    }
  }

  return {
    ask(podUid, guest, graceSeconds, why) {
      const before = known(podUid);
      const given = graceSeconds ?? before?.graceSeconds ?? DEFAULT_GRACE_SECONDS;
      const reason = before?.why ?? why;
      const shutdown: Shutdown = {
        since: before?.since ?? uptime(),
        graceSeconds: Math.min(given, before?.graceSeconds ?? given),
        ...(reason === undefined ? {} : { why: reason }),
      };
      const left = 1_000 * (shutdown.since + shutdown.graceSeconds - uptime());
      const pressed = asked.has(podUid);
      asked.set(podUid, shutdown);
      if (left <= 0) return 0;
      keep(podUid, shutdown);
      // Whether the guest heard an earlier daemon is not known; hearing it twice does no harm.
      if (!pressed) guest.pressPowerButton().catch((error: unknown) => failed(podUid, error));
      return left;
    },
    why: (podUid) => known(podUid)?.why,
    forget: (podUid) => void asked.delete(podUid),
  };
}

import type { GuestAgents } from "./guest-agents.ts";
import type { HeldPod } from "./live-pod.ts";
import { adopt, holdGuest, type NodeParts } from "./pod-lifecycle.ts";
import type { PodRecord, Shutdown } from "./records.ts";
import { type GuestEnd, guestEnd } from "./report.ts";

/** The guests of a node's pods that this process talks to, and how those ended that it did. */
export interface HeldGuests {
  get(podUid: string): HeldPod | undefined;
  /** How the guest of a pod ended, until it is forgotten. */
  end(podUid: string): GuestEnd | undefined;
  /** Takes over what an earlier daemon left, without the API: guests are served again within a second. */
  adoptAll(): Promise<void>;
  /**
   * The guest of a record that an earlier daemon left; undefined where it had none yet, or where it is gone.
   *
   * @throws Fault as {@link adopt}
   */
  takeOver(record: PodRecord | undefined): Promise<HeldPod | undefined>;
  /** The same for a guest that is to end: it needs no network for that. */
  takeForEnd(record: PodRecord): Promise<HeldPod | undefined>;
  /** Holds a guest that was just made. */
  follow(pod: HeldPod): void;
  /** Puts what is known by now in the place of what was known of a guest. */
  replace(pod: HeldPod): void;
  forget(podUid: string): void;
  /** Lets go of all guests, which run on. */
  release(): Promise<void>;
}

export interface HeldGuestsOptions {
  readonly parts: NodeParts;
  readonly agents: Pick<GuestAgents, "follow">;
  /** Why a guest is being ended, where it is not by itself. */
  readonly why: (podUid: string) => Shutdown["why"];
  /** Hears that a guest has ended. */
  readonly ended: (podUid: string) => void;
  /** Hears that a guest of an earlier daemon is taken over. */
  readonly adopted: (record: PodRecord) => void;
  /** Hears what became of each record at the beginning. */
  readonly found: (podUid: string, alive: boolean) => void;
  /** Hears that a guest could not be taken over at the beginning. */
  readonly failed: (podUid: string, error: unknown) => void;
}

const GONE_MEANWHILE: GuestEnd = {
  how: "failure",
  code: "PB6102",
  message: "The guest ended while no daemon ran; how is not known.",
};

export function heldGuests({ parts, agents, why, ...tell }: HeldGuestsOptions): HeldGuests {
  const live = new Map<string, HeldPod>();
  const ends = new Map<string, GuestEnd>();

  function hasEnded(podUid: string, end: GuestEnd): void {
    const reason = why(podUid);
    ends.set(podUid, reason === undefined ? end : { how: "failure", ...reason });
  }

  function hold(pod: HeldPod): void {
    const { podUid } = pod.record;
    live.set(podUid, pod);
    void pod.guest.exited.then((exit) => {
      hasEnded(podUid, guestEnd(exit));
      tell.ended(podUid);
    });
  }

  function follow(pod: HeldPod): void {
    hold(pod);
    agents.follow(pod.record.podUid, pod.guest);
  }

  async function takeOver(record: PodRecord | undefined): Promise<HeldPod | undefined> {
    if (record?.stage !== "guest" || ends.has(record.podUid)) return undefined;
    const adoption = await adopt(parts, record);
    if (adoption.found === "alive") {
      const pod = { ...adoption.pod, mended: adoption.steps };
      follow(pod);
      tell.adopted(record);
      return pod;
    }
    hasEnded(record.podUid, adoption.found === "ended" ? guestEnd(adoption.exit) : GONE_MEANWHILE);
    return undefined;
  }

  return {
    get: (podUid) => live.get(podUid),
    end: (podUid) => ends.get(podUid),
    async adoptAll() {
      await Promise.all(
        parts.records.all().map(async (record) => {
          try {
            tell.found(record.podUid, (await takeOver(record)) !== undefined);
          } catch (error) {
            tell.failed(record.podUid, error);
          }
        }),
      );
    },
    takeOver,
    async takeForEnd(record) {
      const pod = await holdGuest(parts, record);
      if (pod !== undefined) hold(pod);
      return pod;
    },
    follow,
    replace: (pod) => void live.set(pod.record.podUid, pod),
    forget(podUid) {
      live.delete(podUid);
      ends.delete(podUid);
    },
    async release() {
      await Promise.all(
        [...live.values()].map(async ({ guest, services, passts }) => {
          passts?.release();
          guest.release();
          await services?.close();
        }),
      );
    },
  };
}

import { type Fault, toFault } from "../model/fault.ts";
import type { PodSource } from "./pod-source.ts";
import type { PodRecord } from "./records.ts";

/** What the makers of the pods' networks say of them, when they are asked. */
export interface NetworkChecks {
  /** Asks about the network of a pod, beside everything else. One that was found wanting is asked about again by itself. */
  ask(record: PodRecord): void;
  /** Why it is not as it was made, by the latest answer. */
  fault(podUid: string): Fault | undefined;
  forget(podUid: string): void;
  close(): void;
}

export interface NetworkChecksOptions {
  readonly pods: Pick<PodSource, "check">;
  /** Hears that there is another answer. */
  readonly changed: (podUid: string) => void;
}

/** Somebody may have put it right: it is no more than a few processes. */
const AGAIN_MS = 60_000;

/** Asks once a daemon took a pod over and once somebody changed its network, not all the time: each answer costs processes. */
export function networkChecks({ pods, changed }: NetworkChecksOptions): NetworkChecks {
  const faults = new Map<string, Fault>();
  /** Pods that are being asked about. */
  const asking = new Map<string, AbortController>();
  /** Pods that will be asked about again. */
  const again = new Map<string, NodeJS.Timeout>();

  async function ask(record: PodRecord): Promise<void> {
    const { podUid } = record;
    if (asking.has(podUid)) return;
    const abort = new AbortController();
    asking.set(podUid, abort);
    clearTimeout(again.get(podUid));
    const fault = await faultOf(record, abort.signal);
    if (abort.signal.aborted) return;
    asking.delete(podUid);
    const before = faults.get(podUid);
    if (fault === undefined) faults.delete(podUid);
    else {
      faults.set(podUid, fault);
      const timer = setTimeout(() => void ask(record), AGAIN_MS);
      again.set(podUid, timer.unref());
    }
    if (before?.message !== fault?.message) changed(podUid);
  }

  function stop(podUid: string): void {
    asking.get(podUid)?.abort();
    asking.delete(podUid);
    clearTimeout(again.get(podUid));
    again.delete(podUid);
  }

  async function faultOf({ podUid, wiring }: PodRecord, signal: AbortSignal): Promise<Fault | undefined> {
    // A link that a guest took over is not as its plugin made it, and is not meant to be.
    const taken = (wiring?.kernel.links ?? []).flatMap((link) =>
      link.kind === "pod" && link.name !== link.from ? [link.from] : [],
    );
    try {
      await pods.check(podUid, taken, signal);
      return undefined;
    } catch (thrown) {
      return toFault(thrown, "PB3023");
    }
  }

  return {
    ask: (record) => void ask(record),
    fault: (podUid) => faults.get(podUid),
    forget(podUid) {
      stop(podUid);
      faults.delete(podUid);
    },
    close() {
      for (const podUid of [...asking.keys(), ...again.keys()]) stop(podUid);
    },
  };
}

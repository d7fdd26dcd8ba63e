import { keepPassts, type PasstKeeper } from "../host/guest/passt-keeper.ts";
import type { RunningGuest } from "../host/guest/running-guest.ts";
import { type Applied, applyKernel } from "../host/linux/apply.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import { closeFdsNow } from "../host/linux/tap.ts";
import { announce } from "../host/serve/announce.ts";
import { type RunningServices, type ServeEvent, startServices } from "../host/serve/services.ts";
import { Fault, isFault } from "../model/fault.ts";
import type { KernelState, Wiring } from "../model/wiring/wiring.ts";
import { lostLinks } from "./nic-fds.ts";
import type { PodRecord } from "./records.ts";

/** Who hears what becomes of the network of a pod with a guest. */
export interface LiveParts {
  /** What the servers have to tell of a guest's doings. */
  readonly served: (event: ServeEvent) => void;
  /** Hears that what carries a NIC of a pod ended under the running guest, or is there again. */
  readonly carrierChanged?: (podUid: string) => void;
  /** Hears how long it took to compare a pod's network with its wiring and to make it so, and in how many steps. */
  readonly applied?: (seconds: number, steps: number) => void;
}

/** A pod whose guest this process talks to. */
export interface HeldPod {
  readonly record: PodRecord;
  readonly guest: RunningGuest;
  /** What is served to it; absent where the guest is held for its end alone. */
  readonly services?: RunningServices;
  readonly passts?: PasstKeeper;
  /** Steps that taking it over took to mend its network, until its VMI is told. */
  readonly mended?: number;
}

/** A pod whose guest runs and is served. */
export interface LivePod extends HeldPod {
  readonly services: RunningServices;
  /** The processes that carry NICs beside QEMU. */
  readonly passts: PasstKeeper;
  /** Where it was just made: why its network is less than its VM had, or than its manifest asks for. */
  readonly differs?: Fault;
}

/**
 * Verifies the wiring under a running guest and starts what is served to it; `lost`: why one of its NICs reaches nothing
 * any more. The guest is not let go of on failure.
 */
export async function activate(
  parts: LiveParts,
  record: PodRecord,
  guest: RunningGuest,
): Promise<{ readonly pod: LivePod; readonly steps: number; readonly lost?: Fault }> {
  const { wiring, netns, podUid } = record;
  if (wiring === undefined) throw new Fault("PB6106", `The record of pod ${record.podUid} has a guest and no wiring.`);
  const { steps, lost } = mendedOrLost(parts, record);
  const { services: served, announcements } = lost === undefined ? wiring : onLinksThere(netns, wiring);
  const services = await startServices({ netns, podUid, services: served, onEvent: parts.served });
  try {
    const { runDir } = guest.record;
    const changed = (): void => parts.carrierChanged?.(podUid);
    const passts = keepPassts({ netns, runDir, nics: wiring.nics, qmp: guest.qmp, changed });
    announce(netns, announcements);
    return { pod: { record, guest, services, passts }, steps, ...(lost === undefined ? {} : { lost }) };
  } catch (thrown) {
    await services.close();
    throw thrown;
  }
}

/** Compares a pod's kernel state with what is wanted, makes it so, and tells how long that took. */
export function timedApply(parts: Pick<LiveParts, "applied">, netns: string, kernel: KernelState): Applied {
  const begun = performance.now();
  const applied = applyKernel(netns, kernel);
  parts.applied?.((performance.now() - begun) / 1_000, applied.steps.length);
  return applied;
}

/**
 * Compares the pod's kernel state with its wiring and mends what differs; says how many steps that took.
 *
 * @throws Fault PB6105 where a link that the guest is plugged into is gone; everything else is mended by then, as far as
 * it goes without; PB4012 and what the kernel refuses
 */
export function mend(parts: Pick<LiveParts, "applied">, record: PodRecord): number {
  if (record.wiring === undefined) return 0;
  const gone = lostLinks(record.netns, record.wiring);
  let applied: Applied;
  try {
    applied = timedApply(parts, record.netns, record.wiring.kernel);
  } catch (thrown) {
    // Where both are true, what the kernel refuses comes of what is gone.
    throw gone ?? thrown;
  }
  const { steps, taps } = applied;
  const lost = [...taps.keys()];
  if (lost.length === 0) {
    if (gone !== undefined) throw gone;
    return steps.length;
  }
  // A new tap of that name is of no use to the guest: QEMU holds the old one.
  closeFdsNow([...taps.values()].flat());
  throw new Fault("PB6105", `The tap "${lost.join(", ")}" of the running guest is gone.`, {
    place: record.netns,
    cure: "Delete the VMI and apply it again.",
    data: { lost },
  });
}

function mendedOrLost(parts: LiveParts, record: PodRecord): { readonly steps: number; readonly lost?: Fault } {
  try {
    return { steps: mend(parts, record) };
  } catch (thrown) {
    if (!isFault(thrown, "PB6105")) throw thrown;
    return { steps: 0, lost: thrown };
  }
}

/** What is served and announced on links that the pod still has. */
function onLinksThere(netns: string, { services, announcements }: Wiring): Pick<Wiring, "services" | "announcements"> {
  const there = new Set(readLinks(netns).links.map(({ name }) => name));
  return {
    services: services.filter(({ device }) => there.has(device)),
    announcements: announcements.filter(({ device }) => there.has(device)),
  };
}

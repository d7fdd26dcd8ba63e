import { timestampOf } from "../model/api/timestamp.ts";
import type { StateChangeRequest, VmSpec, VmStatus } from "../model/api/vm.ts";
import type { VmiStatus } from "../model/api/vmi-status.ts";
import { isFinal } from "../model/status/vmi.ts";

/** When a VM is to run. */
export type RunStrategy = "Always" | "RerunOnFailure" | "Once" | "Manual" | "Halted" | "WaitAsReceiver";

/** What is to be done about a VM's instance now. */
export type Course =
  | { readonly do: "nothing" }
  | { readonly do: "start"; readonly paused: boolean }
  /** It failed before, and is started again no earlier than that, in ms since 1970. */
  | { readonly do: "wait"; readonly until: number }
  /** The VMI is deleted; `again`: because it failed, and another one is to follow. */
  | { readonly do: "stop"; readonly again: boolean }
  /** A halted VM is started paused: its strategy changes, and its request stays for the start. */
  | { readonly do: "unhalt" };

/** What a course follows from. */
export interface CourseFacts {
  readonly strategy: RunStrategy;
  /** The strategy that was acted on before. */
  readonly acted: string | undefined;
  readonly requests: readonly StateChangeRequest[];
  readonly failure: StartFailure | undefined;
  readonly vmi: InstanceFacts | undefined;
  /** In ms since 1970. */
  readonly now: number;
}

/** What the strategies look at in a VMI. */
export interface InstanceFacts {
  readonly metadata: { readonly uid: string; readonly deletionTimestamp?: string };
  readonly status?: VmiStatus | undefined;
}

export type StartFailure = NonNullable<VmStatus["startFailure"]>;

/** What the strategies start again by themselves. */
const STARTS_ITSELF: readonly RunStrategy[] = ["Always", "RerunOnFailure", "Once"];
const FIRST_WAIT_SECONDS = 10;
const LONGEST_WAIT_SECONDS = 300;
/** A guest that ran for so long does not fail in a loop. */
const STEADY_SECONDS = 300;

/** `running` is the older way to say Always or Halted. */
export function runStrategyOf({ running, runStrategy }: VmSpec): RunStrategy {
  return (runStrategy as RunStrategy | undefined) ?? (running === true ? "Always" : "Halted");
}

/** The strategies as KubeVirt reads them. */
export function courseOf(facts: CourseFacts): Course {
  const { strategy, requests, vmi } = facts;
  const [request] = requests;
  if (vmi === undefined) {
    const asked = request?.action === "Start";
    const start: Course = { do: "start", paused: asked && request.data?.["paused"] === "true" };
    switch (strategy) {
      case "Always":
      case "Once":
        return inTime(facts, start);
      case "RerunOnFailure":
        // A VM that comes from another strategy runs; one whose guest has shut down stays as it is.
        return asked || facts.acted !== strategy ? inTime(facts, start) : NOTHING;
      case "Manual":
        return asked ? start : NOTHING;
      case "Halted":
        return asked ? { do: "unhalt" } : NOTHING;
      default:
        return NOTHING;
    }
  }
  if (vmi.metadata.deletionTimestamp !== undefined) return NOTHING;
  const asked = request?.action === "Stop" && request.uid === vmi.metadata.uid;
  const phase = vmi.status?.phase;
  const stop: Course = { do: "stop", again: false };
  switch (strategy) {
    case "Always":
      return asked || isFinal(phase) ? stop : NOTHING;
    case "RerunOnFailure":
      return asked || isFinal(phase) ? { ...stop, again: !asked && phase === "Failed" } : NOTHING;
    case "Manual":
      return asked ? stop : NOTHING;
    case "Halted":
      return stop;
    default:
      return NOTHING;
  }
}

const NOTHING: Course = { do: "nothing" };

function inTime({ failure, now }: CourseFacts, start: Course): Course {
  const until = Date.parse(failure?.retryAfterTimestamp ?? "");
  return until > now ? { do: "wait", until } : start;
}

/** The requests that are still to be met: one is met when the VMI that it is about is gone, or there. */
export function openRequests(
  requests: readonly StateChangeRequest[],
  strategy: RunStrategy,
  vmi: InstanceFacts | undefined,
): readonly StateChangeRequest[] {
  const [first, ...rest] = requests;
  if (first === undefined || !isMet(first, strategy, vmi)) return requests;
  return openRequests(rest, strategy, vmi);
}

function isMet({ action, uid }: StateChangeRequest, strategy: RunStrategy, vmi: InstanceFacts | undefined): boolean {
  if (vmi === undefined) return action === "Stop";
  if (action === "Stop") return uid !== vmi.metadata.uid;
  // The next one after a failure is asked for while the failed one is there.
  const toFollow = strategy === "RerunOnFailure" && vmi.status?.phase === "Failed";
  return vmi.metadata.deletionTimestamp === undefined && !toFollow;
}

/**
 * Counts failures in a row, so that a VM that keeps failing is started ever more rarely: after 10 s, 20 s, 40 s, at most
 * 300 s. A failure of a guest that did run is let off once.
 *
 * KubeVirt counts only what failed before it ran. Here a guest that dies at once does run for a moment, so what failed in
 * its first five minutes counts as well.
 */
export function startFailureAfter(
  earlier: StartFailure | undefined,
  strategy: RunStrategy,
  vmi: InstanceFacts | undefined,
  now: number,
): StartFailure | undefined {
  if (!STARTS_ITSELF.includes(strategy)) return undefined;
  const { uid } = vmi?.metadata ?? {};
  if (vmi === undefined || uid === undefined || !isFinal(vmi.status?.phase) || earlier?.lastFailedVMIUID === uid) {
    return earlier;
  }
  const ran = secondsRun(vmi.status ?? {});
  if (ran !== undefined && vmi.status?.phase === "Succeeded") return undefined;
  const before = ran !== undefined && ran >= STEADY_SECONDS ? 0 : (earlier?.consecutiveFailCount ?? 0);
  const wait = waitSeconds(ran === undefined ? before + 1 : before);
  return {
    consecutiveFailCount: before + 1,
    lastFailedVMIUID: uid,
    retryAfterTimestamp: timestampOf(now + wait * 1_000),
  };
}

function waitSeconds(failures: number): number {
  return failures === 0 ? 0 : Math.min(FIRST_WAIT_SECONDS * 2 ** Math.min(failures - 1, 30), LONGEST_WAIT_SECONDS);
}

/** How long a guest that has ended ran; undefined where it never did. */
function secondsRun({ phase, phaseTransitionTimestamps = [] }: VmiStatus): number | undefined {
  const at = (name: string | undefined): number =>
    Date.parse(phaseTransitionTimestamps.find((entry) => entry.phase === name)?.phaseTransitionTimestamp ?? "");
  const seconds = (at(phase) - at("Running")) / 1_000;
  return Number.isNaN(seconds) ? undefined : seconds;
}

/** True for a VM that failed and is to be started again. */
export function isFailingInALoop(strategy: RunStrategy, failure: StartFailure | undefined): boolean {
  return STARTS_ITSELF.includes(strategy) && (failure?.consecutiveFailCount ?? 0) > 0;
}

import type { Logger } from "pino";
import type { KubeClient } from "../client/client.ts";
import { makeReconcileQueue, type QueueState } from "../client/reconcile-queue.ts";
import { type Fault, isFault, toFault } from "../model/fault.ts";
import { isToBePaused } from "../model/pods/pause.ts";
import { guestAgents } from "./guest-agents.ts";
import { guestProbes } from "./guest-probes.ts";
import { guestShutdowns } from "./guest-shutdowns.ts";
import { heldGuests } from "./held-guests.ts";
import { setLinks } from "./link-states.ts";
import { type HeldPod, mend } from "./live-pod.ts";
import { networkChecks } from "./network-checks.ts";
import { bringUp, endOf, type NodeParts, takeDown } from "./pod-lifecycle.ts";
import { forgetPodLogs, keepPodLogs, podsWithKeptLogs } from "./pod-logs.ts";
import type { PodRecord } from "./records.ts";
import type { Reporter } from "./report.ts";
import { stalledGuests } from "./stalled-guests.ts";
import { type LauncherPod, ownerVmi, type Vmi, watchPods } from "./watched-pods.ts";

export interface AgentOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  readonly parts: NodeParts;
  readonly report: Reporter;
  readonly log: Logger;
  /** Gets the state of the agent's queue, to look at. */
  readonly meter?: (state: QueueState) => void;
}

export interface Agent {
  /** Ends when the guests that an earlier daemon left are taken over and served. */
  readonly adopted: Promise<void>;
  /** Tries the pods that have no guest yet again, now: what one waits for may be there. */
  retry(): void;
  /** Lets go of the guests, which run on. */
  close(): Promise<void>;
}

/** How often a running pod's kernel state is compared with its wiring. */
const VERIFY_MS = 10_000;
/**
 * How many pods are worked on at once. A guest under TCG keeps a core busy while it boots; more starts at once only make
 * each slower.
 */
export const PARALLEL = 8;
/** How often a disk is tried again for whose sake a guest stands still. */
const STALLED_MS = 2_000;
const LAST_RETRY_MS = 20_000;
/** A pod whose guest has longer than this to shut down is looked at meanwhile: timers have an end. */
const LONGEST_WAIT_MS = 3_600_000;

/**
 * Makes the pods of one node real and keeps them so.
 *
 * INVARIANTS: one reconciler a pod at a time, and none that waits for a guest to shut down; a pod
 * without a record has left no trace.
 */
export function startAgent({ client, nodeName, parts: given, report, log, meter }: AgentOptions): Agent {
  const parts: NodeParts = { ...given, carrierChanged: (podUid) => queue.add(podUid) };
  const closing = new AbortController();
  /** Pods whose guest's end was told: no other starts in them, however late the API's echo comes. */
  const finished = new Set<string>();
  const making = new Map<string, AbortController>();

  const queue = makeReconcileQueue(reconcile, {
    parallel: PARALLEL,
    lastRetryMs: LAST_RETRY_MS,
    ...(meter === undefined ? {} : { meter }),
    failed: (podUid, error, waitMs) =>
      log.warn({ podUid, error: describe(error), waitMs }, "a pod is not as it should be"),
  });
  const warn =
    (what: string) =>
    (podUid: string, error: unknown): void =>
      log.warn({ podUid, error: describe(error) }, what);
  const agents = guestAgents({
    records: parts.records,
    changed: (podUid) => queue.add(podUid),
    unkept: warn("what a guest's agent said is not kept"),
  });
  const shutdowns = guestShutdowns({
    records: parts.records,
    failed: warn("a guest's shutdown does not go as it should"),
  });
  const guests = heldGuests({
    parts,
    agents,
    why: shutdowns.why,
    ended: (podUid) => queue.add(podUid),
    adopted: (record) => checks.ask(record),
    found: (podUid, alive) => log.info({ podUid, alive }, "a pod of an earlier daemon"),
    // The reconciler tries again, and tells the VMI.
    failed: (podUid, error) => log.error({ podUid, error: describe(error) }, "a guest cannot be taken over"),
  });
  const probes = guestProbes({
    agentOf: agents.agent,
    changed: (podUid) => queue.add(podUid),
    dead: (podUid, message) => {
      const guest = guests.get(podUid)?.guest;
      if (guest !== undefined) shutdowns.ask(podUid, guest, graceOf(pods.get(podUid)), { code: "PB6109", message });
      queue.add(podUid);
    },
  });
  const stalls = stalledGuests((podUid) => queue.add(podUid));
  const checks = networkChecks({ pods: parts.pods, changed: (podUid) => queue.add(podUid) });
  const pods = watchPods({
    client,
    nodeName,
    records: parts.records,
    left: () => podsWithKeptLogs(parts),
    signal: closing.signal,
    changed: (podUid) => {
      if (isDeleted(pods.get(podUid))) making.get(podUid)?.abort();
      queue.add(podUid);
    },
    definitionsChanged: retry,
    failed: (what, error, waitMs) => log.warn({ error: describe(error), waitMs }, `the ${what} cannot be watched`),
  });
  const adopted = guests.adoptAll().then(() => pods.begin());

  function retry(): void {
    for (const podUid of pods.uids()) if (guests.get(podUid) === undefined) queue.add(podUid);
  }

  async function reconcile(podUid: string): Promise<void> {
    if (!pods.synced) return;
    const pod = pods.get(podUid);
    const record = parts.records.get(podUid);
    if (pod === undefined && record !== undefined && (await pods.isElsewhere(record))) {
      log.error({ podUid, nodeName }, "a guest's pod belongs to another node; it is left alone");
      return;
    }
    if (pod === undefined || isDeleted(pod)) return giveBack(podUid, pod);
    const vmi = pods.vmiOf(pod);
    try {
      const there = guests.get(podUid) ?? (await guests.takeOver(record));
      const end = guests.end(podUid);
      if (end !== undefined) {
        await report.ended(vmi, pod, end);
        finished.add(podUid);
      }
      if (finished.has(podUid) || pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") {
        return await forget(podUid, true);
      }
      if (there !== undefined && shutdowns.why(podUid) !== undefined) {
        if (isTimeUp(podUid, pod, there)) await there.guest.end();
        return;
      }
      if (vmi === undefined || vmi.metadata.deletionTimestamp !== undefined) return;
      const { stalled } = await keep(vmi, pod, there ?? (await make(vmi, pod)));
      queue.after(podUid, stalled === true ? STALLED_MS : VERIFY_MS);
    } catch (thrown) {
      // A daemon that stops, or a pod that is deleted meanwhile, is no failure of the VMI.
      if (closing.signal.aborted || isDeleted(pods.get(podUid))) return;
      if (vmi !== undefined) await report.failing(vmi, toFault(thrown, "PB6106"));
      throw thrown;
    }
  }

  async function make(vmi: Vmi, pod: LauncherPod): Promise<HeldPod> {
    const podUid = pod.metadata.uid;
    const left = parts.records.get(podUid);
    if (left !== undefined) await takeDown(parts, left);
    const abort = new AbortController();
    making.set(podUid, abort);
    let told: Promise<void> = Promise.resolve();
    const waits = (fault: Fault): void => {
      told = told
        .then(() => report.waiting(vmi, fault))
        .catch((error: unknown) => warn("a wait could not be told")(podUid, error));
    };
    try {
      const made = await bringUp(parts, vmi, pod, AbortSignal.any([abort.signal, closing.signal]), waits);
      guests.follow(made);
      if (made.differs !== undefined) report.differs(vmi, made.differs);
      return made;
    } finally {
      making.delete(podUid);
      // What is said next must not be overwritten by it.
      await told;
    }
  }

  /** Says whether the guest stands still for a disk's sake. */
  async function keep(vmi: Vmi, pod: LauncherPod, there: HeldPod): Promise<{ readonly stalled?: boolean }> {
    const { guest } = there;
    let { record } = there;
    let steps = there.mended ?? 0;
    const paused = isToBePaused(vmi);
    let broken: Fault | undefined;
    let stalled: Fault | undefined;
    try {
      steps += mend(parts, record);
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown;
      broken = thrown;
      log.warn({ podUid: record.podUid, error: describe(broken) }, "the pod's network is not as it should be");
    }
    try {
      // QEMU does these, whatever has become of the pod's network.
      await guest.setPaused(paused);
      stalled = paused ? undefined : await stalls.retry(record.podUid, guest);
      record = await setLinks(parts, there, vmi);
      if (record !== there.record) guests.replace({ ...there, record });
      if (broken !== undefined && (await endOf(guest)) !== undefined) return {};
    } catch (thrown) {
      if ((await endOf(guest)) === undefined) throw thrown;
      return {};
    }
    if (steps > 0) {
      guests.replace({ ...there, record, mended: 0 });
      log.warn({ podUid: record.podUid, steps }, "the pod's network was changed by somebody else and is mended");
      report.mended(vmi, steps);
      checks.ask(record);
    }
    probes.follow(vmi, { record, guest });
    const agent = agents.report(record.podUid);
    await report.running(vmi, pod, agent === undefined ? record : { ...record, agent }, {
      paused,
      unready: probes.unready(record.podUid),
      uncarried: broken ?? there.passts?.fault(),
      differs: checks.fault(record.podUid),
      stalled,
    });
    return { stalled: stalled !== undefined };
  }

  async function giveBack(podUid: string, pod: LauncherPod | undefined): Promise<void> {
    const record = parts.records.get(podUid);
    if (!(await isDown(podUid, pod, record))) return;
    const owner = record?.vmi ?? (pod === undefined ? undefined : ownerVmi(pod));
    await forget(podUid, false);
    forgetPodLogs(parts, podUid);
    if (owner !== undefined) await report.podDeleted(owner);
    if (pod !== undefined) await report.released(pod);
    finished.delete(podUid);
  }

  /** True where a pod's guest has ended, or has had its time. It needs no network to shut down. */
  async function isDown(podUid: string, pod: LauncherPod | undefined, record: PodRecord | undefined): Promise<boolean> {
    if (record === undefined || guests.end(podUid) !== undefined) return true;
    const there = guests.get(podUid) ?? (graceOf(pod) === 0 ? undefined : await guests.takeForEnd(record));
    if (there === undefined) return true;
    return isTimeUp(podUid, pod, there);
  }

  /** Asks a guest to shut down; where it still has time, its pod is looked at again when that is up. */
  function isTimeUp(podUid: string, pod: LauncherPod | undefined, { guest }: HeldPod): boolean {
    ignore(podUid);
    const leftMs = shutdowns.ask(podUid, guest, graceOf(pod));
    if (leftMs > 0) queue.after(podUid, Math.min(leftMs, LONGEST_WAIT_MS));
    return leftMs === 0;
  }

  /** A guest that goes is not asked how it is. */
  function ignore(podUid: string): void {
    agents.forget(podUid);
    probes.forget(podUid);
    stalls.forget(podUid);
    checks.forget(podUid);
  }

  async function forget(podUid: string, podStays: boolean): Promise<void> {
    const record = parts.records.get(podUid);
    ignore(podUid);
    if (podStays && record !== undefined) {
      // Whatever becomes of the words, the network is given back.
      await keepPodLogs(parts, record).catch((error: unknown) => warn("a guest's log is not kept")(podUid, error));
    }
    if (record !== undefined) await takeDown(parts, record, guests.get(podUid));
    if ((record?.devices ?? record?.claims) !== undefined) retry();
    shutdowns.forget(podUid);
    guests.forget(podUid);
  }

  return {
    adopted,
    retry,
    async close() {
      closing.abort();
      agents.close();
      probes.close();
      checks.close();
      await queue.close();
      await guests.release();
    },
  };
}

function isDeleted(pod: LauncherPod | undefined): boolean {
  return pod === undefined || pod.metadata.deletionTimestamp !== undefined;
}

/** Who wants a pod's end sooner says so in a deletion, or in the pod's spec. */
function graceOf(pod: LauncherPod | undefined): number | undefined {
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod?.metadata ?? {};
  const own = pod?.spec?.terminationGracePeriodSeconds;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds === undefined) return own;
  return Math.min(deletionGracePeriodSeconds, own ?? deletionGracePeriodSeconds);
}

function describe(error: unknown): unknown {
  return isFault(error) ? { code: error.code, message: error.message, data: error.data } : error;
}

import type { Logger } from "pino";
import type { KubeClient } from "../client/client.ts";
import { type Cache, inform } from "../client/informer.ts";
import { makeReconcileQueue, type QueueState } from "../client/reconcile-queue.ts";
import type { NetworkAttachmentDefinition } from "../model/api/attachment.ts";
import type { Pod } from "../model/api/pod.ts";
import { definitionResource, podResource, vmiResource } from "../model/api/references.ts";
import { isApiError } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { type Fault, isFault, toFault } from "../model/fault.ts";
import { LAUNCHER_LABEL, LAUNCHER_LABEL_VALUE, NODE_FINALIZER } from "../model/pods/launcher-pod.ts";
import { isToBePaused } from "../model/pods/pause.ts";
import { linkChanges } from "../model/rules/link-state.ts";
import { guestAgents } from "./guest-agents.ts";
import { guestProbes } from "./guest-probes.ts";
import { setLinks } from "./link-states.ts";
import { networkChecks } from "./network-checks.ts";
import { adopt, bringUp, endOf, type LivePod, mend, type NodeParts, takeDown } from "./pod-lifecycle.ts";
import type { PodRecord } from "./records.ts";
import { type GuestEnd, guestEnd, type Reporter } from "./report.ts";

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

type LauncherPod = Stored<Pod>;
type Vmi = Stored<VirtualMachineInstance>;

/** How often a running pod's kernel state is compared with its wiring. */
const VERIFY_MS = 10_000;
const DEFAULT_GRACE_SECONDS = 30;
/** A guest under TCG keeps a core busy while it boots; more starts at once only make each slower. */
const PARALLEL = 8;
const LAST_RETRY_MS = 20_000;

const GONE_MEANWHILE: GuestEnd = {
  how: "failure",
  code: "PB6102",
  message: "The guest ended while no daemon ran; how is not known.",
};

/**
 * Makes the pods of one node real and keeps them so.
 *
 * INVARIANTS: one reconciler a pod at a time; `live` has exactly the pods whose guest this process talks to; a pod
 * without a record has left no trace.
 */
export function startAgent({ client, nodeName, parts: given, report, log, meter }: AgentOptions): Agent {
  const parts: NodeParts = { ...given, carrierChanged: (podUid) => queue.add(podUid) };
  const closing = new AbortController();
  const live = new Map<string, LivePod>();
  const ended = new Map<string, GuestEnd>();
  /** Pods whose guest's end was told: no other starts in them, however late the API's echo comes. */
  const finished = new Set<string>();
  /** Steps that taking a pod over took, until the VMI is told. */
  const repaired = new Map<string, number>();
  const making = new Map<string, AbortController>();

  const queue = makeReconcileQueue(reconcile, {
    parallel: PARALLEL,
    lastRetryMs: LAST_RETRY_MS,
    ...(meter === undefined ? {} : { meter }),
    failed: (podUid, error, waitMs) =>
      log.warn({ podUid, error: describe(error), waitMs }, "a pod is not as it should be"),
  });
  const agents = guestAgents({
    records: parts.records,
    changed: (podUid) => queue.add(podUid),
    unkept: (podUid, error) => log.warn({ podUid, error: describe(error) }, "what a guest's agent said is not kept"),
  });
  /** Why guests are being ended, where it is not by themselves. */
  const doomed = new Map<string, GuestEnd>();
  const probes = guestProbes({
    agentOf: agents.agent,
    changed: (podUid) => queue.add(podUid),
    dead: (podUid, message) => {
      doomed.set(podUid, { how: "failure", code: "PB6109", message });
      const grace = byUid.get(podUid)?.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
      void live
        .get(podUid)
        ?.guest.powerdown(grace)
        .catch((error: unknown) => log.warn({ podUid, error: describe(error) }, "a dead guest cannot be ended"));
    },
  });
  const checks = networkChecks({ pods: parts.pods, changed: (podUid) => queue.add(podUid) });
  const byUid = new Map<string, LauncherPod>();
  const seen = (pod: LauncherPod): void => {
    byUid.set(pod.metadata.uid, pod);
    if (pod.metadata.deletionTimestamp !== undefined) making.get(pod.metadata.uid)?.abort();
    queue.add(pod.metadata.uid);
  };
  /** A guest that is shutting down gets no more time than it is given by now. */
  const hurry = (pod: LauncherPod, before: LauncherPod): void => {
    const grace = pod.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
    const earlier = before.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
    if (before.metadata.deletionTimestamp === undefined || grace >= earlier) return;
    void live
      .get(pod.metadata.uid)
      ?.guest.powerdown(grace)
      .catch((error: unknown) =>
        log.warn({ podUid: pod.metadata.uid, error: describe(error) }, "it cannot be hurried"),
      );
  };
  const isOurs = ({ metadata: { uid, labels, finalizers } }: LauncherPod): boolean =>
    labels?.[LAUNCHER_LABEL] === LAUNCHER_LABEL_VALUE ||
    finalizers?.includes(NODE_FINALIZER) === true ||
    byUid.has(uid) ||
    parts.records.get(uid) !== undefined;
  const podOfVmi = (vmi: Vmi): void => {
    for (const pod of byUid.values()) if (ownerVmi(pod)?.uid === vmi.metadata.uid) queue.add(pod.metadata.uid);
  };

  // Until both are known whole, an absent pod or VMI says nothing.
  const everyPod = (): void => {
    for (const podUid of byUid.keys()) queue.add(podUid);
    for (const record of parts.records.all()) queue.add(record.podUid);
  };
  const failed =
    (what: string) =>
    (error: unknown, waitMs: number): void =>
      log.warn({ error: describe(error), waitMs }, `the ${what} cannot be watched`);
  const vmis: Cache<Vmi> = inform<Vmi>(
    client,
    vmiResource,
    {},
    {
      add: podOfVmi,
      update: (vmi, before) => {
        const linksMoved = linkChanges(vmi.spec, before.spec).length > 0;
        if (linksMoved || isToBePaused(vmi) !== isToBePaused(before)) podOfVmi(vmi);
      },
      synced: everyPod,
      failed: failed("VMIs"),
    },
    closing.signal,
  );
  // A pod may have waited for this one.
  const changed = (): void => {
    for (const podUid of byUid.keys()) if (!live.has(podUid)) queue.add(podUid);
  };
  inform<Stored<NetworkAttachmentDefinition>>(
    client,
    definitionResource,
    {},
    { add: changed, update: changed, failed: failed("definitions") },
    closing.signal,
  );
  let pods: Cache<LauncherPod> | undefined;
  const adopted = adoptAll().then(() => {
    pods = inform<LauncherPod>(
      client,
      podResource,
      // Not by the label: somebody who takes it off a pod would keep its end from this node.
      { fieldSelector: `spec.nodeName=${nodeName}` },
      {
        add: (pod) => {
          if (isOurs(pod)) seen(pod);
        },
        update: (pod, before) => {
          if (!isOurs(pod)) return;
          hurry(pod, before);
          seen(pod);
        },
        delete: (pod) => {
          if (byUid.delete(pod.metadata.uid)) queue.add(pod.metadata.uid);
        },
        synced: everyPod,
        failed: failed("pods"),
      },
      closing.signal,
    );
  });

  /** First of all, and without the API: guests are served again within a second. */
  async function adoptAll(): Promise<void> {
    await Promise.all(
      parts.records.all().map(async (record) => {
        try {
          const taken = await takeOver(record);
          log.info({ podUid: record.podUid, alive: taken !== undefined }, "a pod of an earlier daemon");
        } catch (error) {
          // The reconciler tries again, and tells the VMI.
          log.error({ podUid: record.podUid, error: describe(error) }, "a guest cannot be taken over");
        }
      }),
    );
  }

  /** The guest of a record that an earlier daemon left; undefined where it had none yet, or where it is gone. */
  async function takeOver(record: PodRecord | undefined): Promise<LivePod | undefined> {
    if (record?.stage !== "guest") return undefined;
    const adoption = await adopt(parts, record);
    if (adoption.found === "alive") {
      follow(record.podUid, adoption.pod);
      if (adoption.steps > 0) repaired.set(record.podUid, adoption.steps);
      checks.ask(record);
      return adoption.pod;
    }
    ended.set(record.podUid, adoption.found === "ended" ? guestEnd(adoption.exit) : GONE_MEANWHILE);
    return undefined;
  }

  function follow(podUid: string, pod: LivePod): void {
    live.set(podUid, pod);
    agents.follow(podUid, pod.guest);
    void pod.guest.exited.then((exit) => {
      ended.set(podUid, doomed.get(podUid) ?? guestEnd(exit));
      queue.add(podUid);
    });
  }

  async function reconcile(podUid: string): Promise<void> {
    if (pods?.synced !== true || !vmis.synced) return;
    const pod = byUid.get(podUid);
    if (pod === undefined && (await isStored(parts.records.get(podUid)))) {
      log.error({ podUid, nodeName }, "a guest's pod belongs to another node; it is left alone");
      return;
    }
    if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return giveBack(podUid, pod);
    const vmi = vmiOf(pod);
    try {
      const taken = live.has(podUid) || ended.has(podUid);
      const there = taken ? live.get(podUid) : await takeOver(parts.records.get(podUid));
      const end = ended.get(podUid);
      if (end !== undefined) {
        await report.ended(vmi, pod, end);
        finished.add(podUid);
      }
      if (finished.has(podUid) || pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") {
        return await forget(podUid, 0);
      }
      if (vmi === undefined || vmi.metadata.deletionTimestamp !== undefined) return;
      await keep(vmi, pod, there ?? (await make(vmi, pod)));
      queue.after(podUid, VERIFY_MS);
    } catch (thrown) {
      // A daemon that stops, or a pod that is deleted meanwhile, is no failure of the VMI.
      const deleted = byUid.get(podUid)?.metadata.deletionTimestamp !== undefined;
      if (closing.signal.aborted || deleted) return;
      if (vmi !== undefined) await report.failing(vmi, toFault(thrown, "PB6106"));
      throw thrown;
    }
  }

  /** True where the API has a record's pod, though not among this node's. */
  async function isStored(record: PodRecord | undefined): Promise<boolean> {
    if (record === undefined) return false;
    try {
      return (await client.get<LauncherPod>(podResource, record.pod)).metadata.uid === record.podUid;
    } catch (thrown) {
      if (isApiError(thrown, "NotFound")) return false;
      throw thrown;
    }
  }

  async function make(vmi: Vmi, pod: LauncherPod): Promise<LivePod> {
    const podUid = pod.metadata.uid;
    const left = parts.records.get(podUid);
    if (left !== undefined) await takeDown(parts, left);
    const abort = new AbortController();
    making.set(podUid, abort);
    let told: Promise<void> = Promise.resolve();
    const waits = (fault: Fault): void => {
      told = told
        .then(() => report.waiting(vmi, fault))
        .catch((error: unknown) => log.warn({ podUid, error: describe(error) }, "a wait could not be told"));
    };
    try {
      const made = await bringUp(parts, vmi, pod, AbortSignal.any([abort.signal, closing.signal]), waits);
      follow(podUid, made);
      if (made.differs !== undefined) report.differs(vmi, made.differs);
      return made;
    } finally {
      making.delete(podUid);
      // What is said next must not be overwritten by it.
      await told;
    }
  }

  async function keep(vmi: Vmi, pod: LauncherPod, there: LivePod): Promise<void> {
    const { guest } = there;
    let { record } = there;
    let steps = repaired.get(record.podUid) ?? 0;
    const paused = isToBePaused(vmi);
    let broken: Fault | undefined;
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
      record = await setLinks(parts, there, vmi);
      if (record !== there.record) live.set(record.podUid, { ...there, record });
      if (broken !== undefined && (await endOf(guest)) !== undefined) return;
    } catch (thrown) {
      if ((await endOf(guest)) === undefined) throw thrown;
      return;
    }
    repaired.delete(record.podUid);
    if (steps > 0) {
      log.warn({ podUid: record.podUid, steps }, "the pod's network was changed by somebody else and is mended");
      report.mended(vmi, steps);
      checks.ask(record);
    }
    probes.follow(vmi, { record, guest });
    const agent = agents.report(record.podUid);
    await report.running(vmi, pod, agent === undefined ? record : { ...record, agent }, {
      paused,
      unready: probes.unready(record.podUid),
      uncarried: broken ?? there.passts.fault(),
      differs: checks.fault(record.podUid),
    });
  }

  async function giveBack(podUid: string, pod: LauncherPod | undefined): Promise<void> {
    const owner = parts.records.get(podUid)?.vmi ?? (pod === undefined ? undefined : ownerVmi(pod));
    await forget(podUid, pod?.spec?.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS);
    if (owner !== undefined) await report.podDeleted(owner);
    if (pod !== undefined) await report.released(pod);
    finished.delete(podUid);
  }

  async function forget(podUid: string, graceSeconds: number): Promise<void> {
    const record = parts.records.get(podUid);
    agents.forget(podUid);
    probes.forget(podUid);
    checks.forget(podUid);
    doomed.delete(podUid);
    if (record !== undefined) await takeDown(parts, record, live.get(podUid), graceSeconds);
    if (record?.devices !== undefined) changed();
    live.delete(podUid);
    ended.delete(podUid);
    repaired.delete(podUid);
  }

  function vmiOf(pod: LauncherPod): Vmi | undefined {
    const owner = ownerVmi(pod);
    const vmi = owner === undefined ? undefined : vmis.get(owner.name, owner.namespace);
    return vmi?.metadata.uid === owner?.uid ? vmi : undefined;
  }

  return {
    adopted,
    retry: changed,
    async close() {
      closing.abort();
      agents.close();
      probes.close();
      checks.close();
      await queue.close();
      await Promise.all(
        [...live.values()].map(async ({ guest, services, passts }) => {
          passts.release();
          guest.release();
          await services.close();
        }),
      );
    },
  };
}

function ownerVmi(pod: LauncherPod): PodRecord["vmi"] | undefined {
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
  return owner === undefined ? undefined : { namespace: pod.metadata.namespace, name: owner.name, uid: owner.uid };
}

function describe(error: unknown): unknown {
  return isFault(error) ? { code: error.code, message: error.message, data: error.data } : error;
}

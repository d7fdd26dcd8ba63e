import { uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { GuestAgent } from "../host/guest/guest-agent.ts";
import { type Ailment, probeHttp, probeTcp } from "../host/guest/probe.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { isFault } from "../model/fault.ts";
import { PRIMARY_INTERFACE } from "../model/networks/pod-interface.ts";
import { isToBePaused } from "../model/pods/pause.ts";
import { type ProbePlan, type ProbeState, type ProbeWay, probed, probePlan } from "../model/pods/probe.ts";
import { podAddresses } from "../model/wiring/facts.ts";
import type { LivePod } from "./live-pod.ts";

type Vmi = Stored<VirtualMachineInstance>;

/** Probes the guests of a node's pods, as a kubelet probes containers. */
export interface GuestProbes {
  /** Probes a pod's guest from now on, where its VMI asks for it; hears of a newer VMI of the pod. */
  follow(vmi: Vmi, pod: Pick<LivePod, "record" | "guest">): void;
  /** Why a pod's guest does not count as ready; undefined where it does. */
  unready(podUid: string): string | undefined;
  forget(podUid: string): void;
  close(): void;
}

export interface GuestProbesOptions {
  /** The agent in a pod's guest. */
  readonly agentOf: (podUid: string) => GuestAgent | undefined;
  /** Hears that a guest became ready, or ceased to be. */
  readonly changed: (podUid: string) => void;
  /** Hears that a guest does not live any more, and why. */
  readonly dead: (podUid: string, why: string) => void;
}

interface Followed {
  vmi: Vmi;
  readonly stopping: AbortController;
  ready: boolean;
  why: string;
}

/** Ticks a second of a process's start time (sysconf(_SC_CLK_TCK), which Linux fixes for programs). */
const TICKS = 100;

export function guestProbes({ agentOf, changed, dead }: GuestProbesOptions): GuestProbes {
  const followed = new Map<string, Followed>();

  async function attempt(way: ProbeWay, pod: Pick<LivePod, "record">, timeoutMs: number): Promise<Ailment> {
    const { facts, podUid } = pod.record;
    const host = ("host" in way ? way.host : undefined) ?? (facts && podAddresses(facts, PRIMARY_INTERFACE)[0]);
    if (way.kind === "never") return way.why;
    if (way.kind === "tcp" || way.kind === "http") {
      if (host === undefined) return "the pod has no address";
      const ailment = way.kind === "tcp" ? probeTcp(host, way.port, timeoutMs) : probeHttp({ ...way, host }, timeoutMs);
      const why = await ailment;
      return why === undefined ? undefined : `port ${way.port} of ${host}: ${why}`;
    }
    const agent = agentOf(podUid);
    if (agent === undefined) return "its agent is not known";
    try {
      if (way.kind === "agentPing") await agent.ping(timeoutMs);
      else {
        const code = await agent.exec(way.command, timeoutMs);
        return code === 0 ? undefined : `${way.command[0]} ended with ${code}`;
      }
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown;
      return thrown.message;
    }
    return undefined;
  }

  async function probe(
    entry: Followed,
    pod: Pick<LivePod, "record" | "guest">,
    plan: ProbePlan,
    decided: (well: boolean, why: string, times: number) => void,
  ): Promise<void> {
    const { signal } = entry.stopping;
    const rest = (ms: number): Promise<unknown> => sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
    let state: ProbeState = { row: 0 };
    const age = uptime() * 1000 - (pod.guest.record.startTime * 1000) / TICKS;
    await rest(Math.max(0, plan.initialDelayMs - age));
    while (!signal.aborted) {
      // A guest that stands still answers nobody.
      if (!isToBePaused(entry.vmi)) {
        const ailment = await attempt(plan.way, pod, plan.timeoutMs);
        if (signal.aborted) return;
        const before = state.verdict;
        state = probed(state, ailment === undefined, plan);
        if (state.verdict !== undefined && state.verdict !== before) decided(state.verdict, ailment ?? "", state.row);
      }
      await rest(plan.periodMs);
    }
  }

  const forget = (podUid: string): void => {
    followed.get(podUid)?.stopping.abort();
    followed.delete(podUid);
  };
  return {
    follow(vmi, pod) {
      const { podUid } = pod.record;
      const known = followed.get(podUid);
      if (known !== undefined) {
        known.vmi = vmi;
        return;
      }
      const readiness = probePlan(vmi.spec, "readinessProbe");
      const liveness = probePlan(vmi.spec, "livenessProbe");
      const entry: Followed = {
        vmi,
        stopping: new AbortController(),
        // What an earlier daemon found holds until it is found otherwise.
        ready: readiness === undefined || wasReady(vmi),
        why: "The readiness probe has not succeeded yet.",
      };
      followed.set(podUid, entry);
      if (readiness !== undefined) {
        void probe(entry, pod, readiness, (well, why) => {
          entry.ready = well;
          entry.why = `The readiness probe fails: ${why}.`;
          changed(podUid);
        });
      }
      if (liveness !== undefined) {
        void probe(entry, pod, liveness, (well, why, times) => {
          if (!well) dead(podUid, `The liveness probe failed ${times} times in a row: ${why}. The guest was ended.`);
        });
      }
    },
    unready(podUid) {
      const entry = followed.get(podUid);
      return entry === undefined || entry.ready ? undefined : entry.why;
    },
    forget,
    close() {
      for (const podUid of [...followed.keys()]) forget(podUid);
    },
  };
}

function wasReady({ status }: Vmi): boolean {
  return status?.phase === "Running" && status.conditions?.some(isReady) === true;
}

function isReady({ type, status }: { readonly type: string; readonly status: string }): boolean {
  return type === "Ready" && status === "True";
}

import { type AgentWatch, watchAgent } from "../host/guest/agent-watch.ts";
import type { GuestAgent } from "../host/guest/guest-agent.ts";
import { guestFiles } from "../host/guest/guest-files.ts";
import type { RunningGuest } from "../host/guest/running-guest.ts";
import type { AgentReport } from "../model/guest/agent.ts";
import type { PodRecords } from "./records.ts";

/** What is known of the agents in the guests of a node's pods. */
export interface GuestAgents {
  /** Watches the agent in a pod's guest from now on. */
  follow(podUid: string, guest: RunningGuest): void;
  report(podUid: string): AgentReport | undefined;
  /** The agent itself, while its guest is followed. */
  agent(podUid: string): GuestAgent | undefined;
  forget(podUid: string): void;
  close(): void;
}

export interface GuestAgentsOptions {
  readonly records: PodRecords;
  /** Hears that there is something new of a pod's agent. */
  readonly changed: (podUid: string) => void;
  /** Hears why a report could not be kept. */
  readonly unkept: (podUid: string, error: unknown) => void;
}

/** Keeps each report with its pod's record, so that the status says the same when the next daemon begins. */
export function guestAgents({ records, changed, unkept }: GuestAgentsOptions): GuestAgents {
  const watches = new Map<string, AgentWatch>();
  const keep = (podUid: string, agent: AgentReport): void => {
    const record = records.get(podUid);
    if (record === undefined) return;
    try {
      records.put({ ...record, agent });
    } catch (error) {
      unkept(podUid, error);
    }
  };
  const forget = (podUid: string): void => {
    watches.get(podUid)?.stop();
    watches.delete(podUid);
  };
  return {
    follow(podUid, { qmp, record }) {
      forget(podUid);
      const watch = watchAgent({
        qmp,
        path: guestFiles(record.runDir).agent,
        earlier: records.get(podUid)?.agent,
        changed(report) {
          keep(podUid, report);
          changed(podUid);
        },
      });
      watches.set(podUid, watch);
    },
    report: (podUid) => watches.get(podUid)?.report(),
    agent: (podUid) => watches.get(podUid)?.agent,
    forget,
    close() {
      for (const watch of watches.values()) watch.stop();
    },
  };
}

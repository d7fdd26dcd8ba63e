import { setTimeout as sleep } from "node:timers/promises";
import { isFault, sentence, toFault } from "../../model/fault.ts";
import type { AgentAnswers, AgentReport } from "../../model/guest/agent.ts";
import { isJsonObject } from "../../model/json.ts";
import { agentChannel } from "./command-line.ts";
import { type GuestAgent, guestAgent } from "./guest-agent.ts";
import type { Qmp } from "./qmp.ts";

/** Watches the agent of a running guest. */
export interface AgentWatch {
  /** What is known by now. */
  report(): AgentReport;
  /** The agent itself, for who has something to ask beside; calls take turns. */
  readonly agent: GuestAgent;
  /** Ends it; the guest's end does so, too. */
  stop(): void;
}

export interface AgentWatchOptions {
  readonly qmp: Qmp;
  /** QEMU's socket of the agent's channel. */
  readonly path: string;
  /** What an earlier daemon knew. */
  readonly earlier?: AgentReport | undefined;
  /** Hears every change of the report. */
  readonly changed: (report: AgentReport) => void;
  readonly pace?: Partial<AgentPace>;
}

/** Milliseconds. */
export interface AgentPace {
  /** Between two looks at the least, whatever the guest does; the first wait of an agent that was just heard. */
  readonly first: number;
  /** Waits double up to this: KubeVirt's interval (qemu-agent-sys-interval). */
  readonly last: number;
  /** How often it is looked whether a closed channel is open, where QEMU does not say so by itself. */
  readonly closed: number;
  /** What the agent said holds so long after its channel was closed, so that its restart is not seen. */
  readonly remembered: number;
  /** How long a guest may take to get its addresses. */
  readonly settling: number;
}

const PACE: AgentPace = { first: 1_000, last: 120_000, closed: 10_000, remembered: 60_000, settling: 30_000 };
/** Calls in a row that have no answer before the agent is said to give none. */
const PATIENCE = 3;

export const NO_AGENT: AgentReport = { channel: "closed", settled: false };

/**
 * Asks the agent of a guest whenever its channel is open: at once, then after 1, 2, 4, … seconds up to two minutes. A guest
 * that stands still is not asked.
 *
 * QEMU tells when a program of the guest opens or closes the channel (VSERPORT_CHANGE); a guest of an older daemon, whose
 * port has no id, is looked at every ten seconds.
 */
export function watchAgent({
  qmp,
  path,
  earlier = NO_AGENT,
  changed,
  pace: given = {},
}: AgentWatchOptions): AgentWatch {
  const pace = { ...PACE, ...given };
  const agent = guestAgent(path);
  const stopping = new AbortController();
  let report = earlier;
  let wake = Promise.withResolvers<void>();
  let turned = false;
  /** When the channel was seen to open, or to close. */
  let since = performance.now();
  let failures = 0;
  let wait = pace.first;

  const unhear = qmp.onEvent(({ name }) => {
    if (name !== "VSERPORT_CHANGE") return;
    turned = true;
    wake.resolve();
  });
  const stop = (): void => {
    stopping.abort();
    unhear();
    agent.close();
    wake.resolve();
  };
  void qmp.closed.then(stop);
  const tell = (next: AgentReport): void => {
    const same = JSON.stringify(next) === JSON.stringify(report);
    report = next;
    if (!same && !stopping.signal.aborted) changed(next);
  };

  const closed = (): void => {
    if (report.channel !== "closed") {
      since = performance.now();
      agent.close();
    }
    const forgotten = performance.now() - since > pace.remembered;
    tell(said("closed", forgotten ? undefined : report.said, report.settled && !forgotten));
  };
  const opened = async (): Promise<void> => {
    const settled = report.settled || performance.now() - since > pace.settling;
    try {
      const answers = await agent.ask();
      failures = 0;
      tell(said("open", answers, settled));
    } catch (thrown) {
      failures += 1;
      const trouble = sentence(toFault(thrown, "PB5063"));
      if (failures >= PATIENCE) tell({ ...said("mute", report.said, report.settled), trouble });
      else if (report.channel === "closed") tell(said("open", report.said, report.settled));
    }
  };
  const look = async (): Promise<void> => {
    const open = await isOpen(qmp);
    if (open === undefined) return;
    if (turned || open !== (report.channel !== "closed")) {
      turned = false;
      wait = pace.first;
      failures = 0;
      if (open) since = performance.now();
    }
    if (!open) return closed();
    if (await isRunning(qmp)) await opened();
  };
  const watch = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await look();
      const until = report.channel === "closed" ? pace.closed : wait;
      wait = Math.min(wait * 2, pace.last);
      await sleep(pace.first, undefined, { signal: stopping.signal }).catch(() => undefined);
      const enough = new AbortController();
      const rest = sleep(until - pace.first, undefined, { signal: enough.signal, ref: false }).catch(() => undefined);
      await Promise.race([wake.promise, rest]);
      enough.abort();
      wake = Promise.withResolvers();
    }
  };
  void watch();
  return { report: () => report, agent, stop };
}

function said(channel: AgentReport["channel"], answers: AgentAnswers | undefined, settled: boolean): AgentReport {
  return { channel, ...(answers === undefined ? {} : { said: answers }), settled };
}

/** Whether a program of the guest has the channel open; undefined where QEMU does not say. */
async function isOpen(qmp: Qmp): Promise<boolean | undefined> {
  const devices = await asked(qmp, "query-chardev");
  if (!Array.isArray(devices)) return undefined;
  const found: unknown = devices.find((device: unknown) => isJsonObject(device) && device["label"] === agentChannel);
  // A guest without the channel has nobody at it.
  return isJsonObject(found) && found["frontend-open"] === true;
}

async function isRunning(qmp: Qmp): Promise<boolean> {
  const status = await asked(qmp, "query-status");
  return isJsonObject(status) && status["running"] === true;
}

/** What QEMU returned; undefined where it does not answer just now, or has ended. */
async function asked(qmp: Qmp, command: string): Promise<unknown> {
  try {
    return await qmp.execute(command);
  } catch (thrown) {
    if (isFault(thrown)) return undefined;
    throw thrown;
  }
}

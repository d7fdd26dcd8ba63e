import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from "prom-client";
import type { QueueState } from "../client/reconcile-queue.ts";
import type { ServeEvent } from "../host/serve/services.ts";

/** What the controllers and the node count and time; docs/metrics.md has a line for each. */
export interface DaemonMetrics {
  /** Shows a queue under a name. */
  queue(name: string): (state: QueueState) => void;
  served(event: Pick<ServeEvent, "service" | "kind">): void;
  applied(seconds: number, steps: number): void;
  /** Shows how many VMIs there are by phase. */
  guests(phases: () => ReadonlyMap<string, number>): void;
}

const APPLY_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
/** Shown also where there is none, so that an absence is a zero. */
const PHASES = ["Pending", "Scheduling", "Scheduled", "Running", "Succeeded", "Failed", "Unknown"];

export function makeDaemonMetrics(registry: Registry): DaemonMetrics {
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "patchbay_" });
  const queues = new Map<string, QueueState>();
  const ofQueues = (name: string, help: string, read: (state: QueueState) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ["queue"],
      registers,
      collect() {
        for (const [queue, state] of queues) this.set({ queue }, read(state));
      },
    });
  };
  ofQueues("patchbay_queue_depth", "Keys that wait for their turn.", ({ waiting }) => waiting);
  ofQueues("patchbay_queue_running", "Keys that are being worked on.", ({ running }) => running);
  ofQueues("patchbay_queue_delayed", "Keys that are run again later.", ({ delayed }) => delayed);
  totals(registers, queues);
  let phases: () => ReadonlyMap<string, number> = () => new Map();
  new Gauge({
    name: "patchbay_vmi_phase_count",
    help: "VirtualMachineInstances by phase.",
    labelNames: ["phase"],
    registers,
    collect() {
      this.reset();
      for (const phase of PHASES) this.set({ phase }, 0);
      for (const [phase, count] of phases()) this.set({ phase }, count);
    },
  });
  const served = new Counter({
    name: "patchbay_served_messages_total",
    help: "What the DHCP, DHCPv6 and router advertisement servers did.",
    labelNames: ["service", "event"],
    registers,
  });
  const applied = new Histogram({
    name: "patchbay_network_apply_duration_seconds",
    help: "Time to read a pod's network over netlink and nftables, to change what differs, and to read it back.",
    labelNames: ["changed"],
    buckets: APPLY_SECONDS,
    registers,
  });
  const steps = new Counter({
    name: "patchbay_network_apply_steps_total",
    help: "Steps that pods' networks were changed by.",
    registers,
  });
  return {
    queue: (name) => (state) => void queues.set(name, state),
    served: ({ service, kind }) => served.inc({ service, event: kind }),
    applied(seconds, count) {
      applied.observe({ changed: String(count > 0) }, seconds);
      steps.inc(count);
    },
    guests(read) {
      phases = read;
    },
  };
}

/** Counters of what the queues count themselves. */
function totals(registers: Registry[], queues: ReadonlyMap<string, QueueState>): void {
  const ofQueues = (name: string, help: string, read: (state: QueueState) => number): void => {
    new Counter({
      name,
      help,
      labelNames: ["queue"],
      registers,
      collect() {
        this.reset();
        for (const [queue, state] of queues) this.inc({ queue }, read(state));
      },
    });
  };
  ofQueues("patchbay_queue_runs_total", "Runs that ended.", ({ runs }) => runs);
  ofQueues("patchbay_queue_retries_total", "Runs that failed and are tried again.", ({ failures }) => failures);
}

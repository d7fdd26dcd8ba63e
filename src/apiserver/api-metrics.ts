import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Limited } from "./limits.ts";
import type { RequestAttributes } from "./request-attributes.ts";

/** What the API counts and times; docs/metrics.md has a line for each. */
export interface ApiMetrics {
  /** `known`: the resource is served. Others share one label, so that clients cannot make labels. */
  answered(
    asked: Pick<RequestAttributes, "verb" | "group" | "resource" | "subresource">,
    known: boolean,
    answer: Answered,
  ): void;
  /** A request that could not be read, or showed no token. */
  turnedAway(code: number): void;
  limited(limit: Limited): void;
  /** One commit of the store: how long until it was on the disk, and how many works shared it. */
  committed(seconds: number, writes: number): void;
}

export interface Answered {
  readonly code: number;
  readonly seconds: number;
}

/** What is looked at when somebody reads the metrics. */
export interface ApiGauges {
  readonly watchers: () => number;
  readonly connections: () => number;
  readonly auditLost: () => number;
  /** By file of the store. */
  readonly storeBytes: () => Readonly<Record<string, number>>;
  /** By resource. */
  readonly storedObjects: () => ReadonlyMap<string, number>;
  readonly revision: () => number;
  /** Milliseconds since the epoch. */
  readonly certificateEnds: () => number;
}

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COMMIT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const COMMIT_WRITES = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const VERBS = new Set(["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]);

export function makeApiMetrics(registry: Registry, gauges: ApiGauges): ApiMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: "patchbay_api_requests_total",
    help: "Requests that were answered.",
    labelNames: ["verb", "resource", "code"],
    registers,
  });
  const durations = new Histogram({
    name: "patchbay_api_request_duration_seconds",
    help: "Time from a request's headers to the end of its answer; watches and streams are not in it.",
    labelNames: ["verb", "resource"],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const limited = new Counter({
    name: "patchbay_api_limited_total",
    help: "Requests that got 429, by the limit that they met.",
    labelNames: ["limit"],
    registers,
  });
  const commits = new Histogram({
    name: "patchbay_store_commit_duration_seconds",
    help: "Time of one commit of the store until it was on the disk (fsync).",
    buckets: COMMIT_SECONDS,
    registers,
  });
  const writes = new Histogram({
    name: "patchbay_store_commit_writes",
    help: "Writes that shared one commit of the store.",
    buckets: COMMIT_WRITES,
    registers,
  });
  looked(registers, gauges);

  return {
    answered(asked, known, { code, seconds }) {
      const verb = VERBS.has(asked.verb) ? asked.verb : "other";
      const resource = labelOf(asked, known);
      requests.inc({ verb, resource, code });
      if (verb !== "watch" && code !== 101) durations.observe({ verb, resource }, seconds);
    },
    turnedAway: (code) => requests.inc({ verb: "other", resource: "", code }),
    limited: (limit) => limited.inc({ limit }),
    committed(seconds, count) {
      commits.observe(seconds);
      writes.observe(count);
    },
  };
}

function labelOf({ group, resource, subresource }: Parameters<ApiMetrics["answered"]>[0], known: boolean): string {
  if (resource === undefined) return "";
  if (!known) return "unknown";
  const qualified = group === "" ? resource : `${resource}.${group}`;
  return subresource === undefined ? qualified : `${qualified}/${subresource}`;
}

function looked(registers: Registry[], gauges: ApiGauges): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge("patchbay_api_watchers", "Watches that are open.", gauges.watchers);
  gauge("patchbay_api_connections", "Connections to the API that are open.", gauges.connections);
  gauge("patchbay_audit_lost_entries", "Entries of the audit log that could not be kept.", gauges.auditLost);
  gauge("patchbay_store_revision", "Newest resourceVersion of the store.", gauges.revision);
  gauge("patchbay_certificate_expiry_timestamp_seconds", "When the server certificate ends (Unix time).", () =>
    Math.floor(gauges.certificateEnds() / 1_000),
  );
  new Gauge({
    name: "patchbay_store_bytes",
    help: "Size of the store's files.",
    labelNames: ["file"],
    registers,
    collect() {
      for (const [file, bytes] of Object.entries(gauges.storeBytes())) this.set({ file }, bytes);
    },
  });
  new Gauge({
    name: "patchbay_store_objects",
    help: "Objects in the store.",
    labelNames: ["resource"],
    registers,
    collect() {
      this.reset();
      for (const [resource, count] of gauges.storedObjects()) this.set({ resource }, count);
    },
  });
}

import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { GuestRecord } from "../host/guest/running-guest.ts";
import { DRAFT, writeWhole } from "../host/whole-file.ts";
import { Fault } from "../model/fault.ts";
import type { AgentReport } from "../model/guest/agent.ts";
import type { GuestHardware } from "../model/guest/hardware.ts";
import { isJsonObject } from "../model/json.ts";
import type { ClaimUse } from "../model/pods/claims.ts";
import type { DeviceClaim } from "../model/pods/device-resources.ts";
import type { PodFacts } from "../model/wiring/facts.ts";
import type { Wiring } from "../model/wiring/wiring.ts";

/** That a guest was asked to shut down, and what it was given for it. */
export interface Shutdown {
  /** When it was asked, in seconds since the machine's boot. */
  readonly since: number;
  /** How long it may take; the least of what was ever given. */
  readonly graceSeconds: number;
  /** Why the guest does not live on, where its pod does. */
  readonly why?: { readonly code: string; readonly message: string };
}

/**
 * What the node keeps of one pod, on disk under the pod's UID: enough for the next daemon to go on or to undo.
 *
 * Written before each thing that leaves a trace (`stage` says which), so that a trace without a record cannot be.
 */
export interface PodRecord {
  readonly version: 1;
  readonly podUid: string;
  readonly pod: { readonly namespace: string; readonly name: string };
  readonly vmi: { readonly namespace: string; readonly name: string; readonly uid: string };
  /** Path of the network namespace. */
  readonly netns: string;
  /**
   * `network`: the namespace and CNI may be half-made; `wired`: the facts hold, the wiring may be half-made;
   * `guest`: QEMU may run.
   */
  readonly stage: "network" | "wired" | "guest";
  /** Devices of the node that are the pod's. */
  readonly devices?: readonly DeviceClaim[];
  /** PersistentVolumeClaims that its guest uses. */
  readonly claims?: readonly ClaimUse[];
  readonly facts?: PodFacts;
  readonly hardware?: GuestHardware;
  readonly wiring?: Wiring;
  readonly guest?: GuestRecord;
  /** Processors that are its vCPUs' own, in their order. */
  readonly cpus?: readonly number[];
  /** What the guest's agent said last. */
  readonly agent?: AgentReport;
  /** Set once its guest was asked to shut down. */
  readonly shutdown?: Shutdown;
}

/**
 * The records of one node: `D/pods/<uid>.json`, each written whole or not at all.
 *
 * Synchronous, so that nothing can come between a trace and its record.
 */
export interface PodRecords {
  all(): readonly PodRecord[];
  get(podUid: string): PodRecord | undefined;
  /** Throws PB6107 where the disk refuses; then the earlier record stands. */
  put(record: PodRecord): void;
  remove(podUid: string): void;
}

/** Opens the folder and reads what an earlier daemon left. A record that cannot be read is a Fault: it is never ignored. */
export function openPodRecords(folder: string): PodRecords {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const records = new Map<string, PodRecord>();
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    if (name.endsWith(DRAFT)) rmSync(file);
    else if (name.endsWith(".json")) {
      const record = parseRecord(file, readFileSync(file, "utf8"));
      records.set(record.podUid, record);
    }
  }
  return {
    all: () => [...records.values()],
    get: (podUid) => records.get(podUid),
    put: (record) => {
      put(join(folder, `${record.podUid}.json`), JSON.stringify(record));
      records.set(record.podUid, record);
    },
    remove: (podUid) => {
      rmSync(join(folder, `${podUid}.json`), { force: true });
      records.delete(podUid);
    },
  };
}

function parseRecord(file: string, text: string): PodRecord {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch (cause) {
    throw unreadable(file, cause);
  }
  throw unreadable(file, undefined);
}

function unreadable(file: string, cause: unknown): Fault {
  return new Fault("PB6101", `The record ${file} cannot be read, so its pod can neither be adopted nor undone.`, {
    place: file,
    cure: "Remove the pod's namespace and its QEMU by hand, then this file.",
    cause,
  });
}

/** The daemon wrote it: what everything hangs on is checked, the insides of its own data are not. */
function isRecord(value: unknown): value is PodRecord {
  if (!isJsonObject(value) || value["version"] !== 1) return false;
  const { podUid, netns, pod, vmi, stage } = value;
  const whole = typeof podUid === "string" && typeof netns === "string" && isJsonObject(pod) && isJsonObject(vmi);
  const made = ["facts", "hardware", "wiring"].every((key) => isJsonObject(value[key]));
  switch (stage) {
    case "network":
      return whole;
    case "wired":
      return whole && made;
    case "guest":
      return whole && made && isJsonObject(value["guest"]);
    default:
      return false;
  }
}

function put(file: string, text: string): void {
  try {
    writeWhole(file, text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault("PB6107", `The record ${file} cannot be written: ${reason}.`, {
      place: file,
      cure: "Free space on its disk (df shows which), and see that the folder may be written.",
      cause,
    });
  }
}

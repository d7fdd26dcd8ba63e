import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { GuestRecord } from "../host/guest/running-guest.ts";
import { Fault } from "../model/fault.ts";
import type { GuestHardware } from "../model/guest/hardware.ts";
import type { PodFacts } from "../model/wiring/facts.ts";
import type { Wiring } from "../model/wiring/wiring.ts";

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
  readonly facts?: PodFacts;
  readonly hardware?: GuestHardware;
  readonly wiring?: Wiring;
  readonly guest?: GuestRecord;
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
      writeWhole(join(folder, `${record.podUid}.json`), JSON.stringify(record));
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

/** The daemon wrote it: the version and the keys that everything hangs on are checked, the rest is its own. */
function isRecord(value: unknown): value is PodRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    value.version === 1 &&
    "podUid" in value &&
    typeof value.podUid === "string" &&
    "netns" in value &&
    typeof value.netns === "string" &&
    "stage" in value
  );
}

/** What a daemon that died while writing leaves. */
const DRAFT = ".new";

function writeWhole(file: string, text: string): void {
  const draft = `${file}${DRAFT}`;
  try {
    const fd = openSync(draft, "w", 0o600);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, file);
  } catch (cause) {
    rmSync(draft, { force: true });
    throw new Fault("PB6107", `The record ${file} cannot be written: ${reasonOf(cause)}.`, {
      place: file,
      cure: "Free space on its disk (df shows which), and see that the folder may be written.",
      cause,
    });
  }
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

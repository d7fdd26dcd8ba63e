import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject } from "../../model/json.ts";
import type { CniNetwork, CniPlugin } from "../../model/networks/cni-config.ts";
import { normaliseVersion } from "../../model/networks/cni-config.ts";
import { readJson } from "../../model/networks/cni-json.ts";
import { writeWhole } from "../whole-file.ts";

/**
 * What is kept on disk of one ADD, so that its DEL works after a restart.
 *
 * It is written as `adding` before the first plugin runs and as `added`, with the result, after the last.
 */
export interface AttachmentRecord {
  readonly state: "adding" | "added";
  readonly containerId: string;
  readonly ifName: string;
  readonly netns: string;
  readonly network: CniNetwork;
  readonly args: readonly (readonly [string, string])[];
  readonly runtimeConfig: JsonObject;
  readonly binDirs: readonly string[];
  /** Where it stands among the attachments of its pod; DELs go the other way. */
  readonly position: number;
  /** The last plugin's answer as it gave it. */
  readonly result?: JsonObject;
}

/** The path of an attachment's record. @throws Fault PB3019 for names that the specification forbids. */
export function recordPath(cacheDir: string, containerId: string, ifName: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/.test(containerId)) {
    throw new Fault("PB3019", `"${containerId}" cannot be the container ID of a CNI attachment.`, {
      cure: 'Use letters, digits, ".", "_" and "-", beginning with a letter or digit.',
    });
  }
  if (!/^[^\s/:\0]{1,15}$/.test(ifName) || ifName === "." || ifName === "..") {
    throw new Fault("PB3019", `"${ifName}" cannot be the name of an interface.`, {
      cure: 'Use at most 15 characters, none of them a blank, "/" or ":".',
    });
  }
  return join(cacheDir, "results", `${containerId}-${ifName}.json`);
}

/** Writes a record so that after a crash either the old or the new one is there. @throws Fault PB3022. */
export function writeRecord(cacheDir: string, record: AttachmentRecord): void {
  writeCniFile(recordPath(cacheDir, record.containerId, record.ifName), `${JSON.stringify(record)}\n`);
}

/** Writes a file whole, and the folders above it where they are missing. @throws Fault PB3022. */
export function writeCniFile(path: string, text: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeWhole(path, text);
  } catch (cause) {
    throw new Fault("PB3022", `${path} cannot be written: ${reason(cause)}.`, {
      place: path,
      cure: "Free space on its disk, and see that the folder may be written.",
      cause,
    });
  }
}

/** The record of an attachment; undefined where there is none. @throws Fault PB3021 for one that cannot be read. */
export function readRecord(cacheDir: string, containerId: string, ifName: string): AttachmentRecord | undefined {
  return readRecordFile(recordPath(cacheDir, containerId, ifName));
}

function readRecordFile(path: string): AttachmentRecord | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw damaged(path, reason(cause), cause);
  }
  const reading = readJson(bytes);
  const record = "value" in reading ? recordOf(reading.value) : undefined;
  if (record === undefined) throw damaged(path, "problem" in reading ? reading.problem : "a field is missing");
  return record;
}

/** Forgets an attachment. */
export function removeRecord(cacheDir: string, containerId: string, ifName: string): void {
  rmSync(recordPath(cacheDir, containerId, ifName), { force: true });
}

/** Every record of a cache folder, in the order of their names; `damaged` are the paths of those that cannot be read. */
export function listRecords(cacheDir: string): {
  readonly records: readonly AttachmentRecord[];
  readonly damaged: readonly string[];
} {
  let names: string[];
  try {
    names = readdirSync(join(cacheDir, "results"));
  } catch {
    return { records: [], damaged: [] };
  }
  const records: AttachmentRecord[] = [];
  const unreadable: string[] = [];
  for (const name of names.filter((file) => file.endsWith(".json")).sort()) {
    const path = join(cacheDir, "results", name);
    try {
      const record = readRecordFile(path);
      if (record !== undefined) records.push(record);
    } catch {
      unreadable.push(path);
    }
  }
  return { records, damaged: unreadable };
}

function damaged(path: string, why: string, cause?: unknown): Fault {
  return new Fault("PB3021", `The record of a CNI attachment ${path} cannot be read: ${why}.`, {
    place: path,
    cure: `Delete it, then the pod's addresses in the folder of its IPAM plugin.`,
    cause,
  });
}

function recordOf(value: unknown): AttachmentRecord | undefined {
  if (!isJsonObject(value)) return undefined;
  const { state, containerId, ifName, netns, args, runtimeConfig, binDirs, position, result } = value;
  const network = networkOf(value["network"]);
  if (state !== "adding" && state !== "added") return undefined;
  if (typeof containerId !== "string" || typeof ifName !== "string" || typeof netns !== "string") return undefined;
  if (network === undefined || !isJsonObject(runtimeConfig)) return undefined;
  if (!Array.isArray(args) || !Array.isArray(binDirs)) return undefined;
  return {
    state,
    containerId,
    ifName,
    netns,
    network,
    args: args.map((pair): readonly [string, string] =>
      Array.isArray(pair) ? [String(pair[0]), String(pair[1])] : ["", ""],
    ),
    runtimeConfig,
    binDirs: binDirs.map(String),
    position: typeof position === "number" ? position : 0,
    ...(isJsonObject(result) ? { result } : {}),
  };
}

function networkOf(value: unknown): CniNetwork | undefined {
  if (!isJsonObject(value) || typeof value["name"] !== "string" || !Array.isArray(value["plugins"])) return undefined;
  const cniVersion = normaliseVersion(String(value["cniVersion"]));
  const plugins = value["plugins"].flatMap((item): CniPlugin[] => {
    if (!isJsonObject(item) || typeof item["type"] !== "string" || !isJsonObject(item["config"])) return [];
    const { type, ipamType, capabilities, config } = item;
    return [
      {
        type,
        ...(typeof ipamType === "string" ? { ipamType } : {}),
        capabilities: Array.isArray(capabilities) ? capabilities.map(String) : [],
        config,
      },
    ];
  });
  if (cniVersion === undefined || plugins.length !== value["plugins"].length) return undefined;
  return { name: value["name"], cniVersion, disableCheck: value["disableCheck"] === true, plugins };
}

function reason(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
}

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guestFiles } from "../host/guest/guest-files.ts";
import { type LogSource, readLogs } from "../host/guest/log-reader.ts";
import { passtNics } from "../host/guest/passt.ts";
import { COMPUTE_CONTAINER, CONSOLE_LOG_CONTAINER } from "../model/pods/launcher-pod.ts";
import type { PodRecord, PodRecords } from "./records.ts";

/** What the logs of this node's pods are found with. */
export interface PodLogParts {
  /** `D/logs`: what each QEMU says. */
  readonly logsDir: string;
  readonly records: PodRecords;
}

/** Of a log of a guest that has ended. */
const KEPT_BYTES = 1 << 20;

/** What a container of a pod has printed. */
export interface PodLog {
  readonly sources: readonly LogSource[];
  /** True once the pod's guest has ended: nothing more comes. */
  readonly over: () => boolean;
}

/** `D/logs/<uid>.log`: what the QEMU of a pod's guest says. */
export function qemuLog({ logsDir }: Pick<PodLogParts, "logsDir">, podUid: string): string {
  return join(logsDir, `${podUid}.log`);
}

/** `D/logs/pods/<uid>/<container>`: what is kept of pods whose guest has ended, as long as the pods are there. */
function keptFolder({ logsDir }: Pick<PodLogParts, "logsDir">, podUid: string): string {
  return join(logsDir, "pods", podUid);
}

/** The log of a pod's container; undefined where no guest was started in it yet, or what it printed could not be kept. */
export function podLog(parts: PodLogParts, podUid: string, container: string): PodLog | undefined {
  const record = parts.records.get(podUid);
  if (record?.guest === undefined) {
    const path = join(keptFolder(parts, podUid), container);
    return existsSync(path) ? { sources: [{ path }], over: () => true } : undefined;
  }
  const sources = sourcesOf(parts, record, record.guest.runDir).get(container);
  if (sources === undefined) return undefined;
  return { sources, over: () => parts.records.get(podUid)?.guest === undefined };
}

/** By container: of `compute` QEMU's words and those of each passt, of `guest-console-log` the guest's serial console. */
function sourcesOf(
  parts: PodLogParts,
  { podUid, wiring }: PodRecord,
  runDir: string,
): ReadonlyMap<string, readonly LogSource[]> {
  const passts = passtNics(wiring?.nics ?? [], runDir).flatMap(({ nic, files }) =>
    [files.errors, files.log].map((path) => ({ path, lineStart: `passt (${nic.name}): ` })),
  );
  return new Map([
    [COMPUTE_CONTAINER, [{ path: qemuLog(parts, podUid), lineStart: "" }, ...passts]],
    [CONSOLE_LOG_CONTAINER, [{ path: guestFiles(runDir).consoleLog }]],
  ]);
}

/**
 * Keeps the ends of what was printed, for a pod that stays after its guest. What is kept already stays: its files are gone
 * by then.
 *
 * Throws what the file system says; then nothing is kept.
 */
export async function keepPodLogs(parts: PodLogParts, record: PodRecord): Promise<void> {
  const folder = keptFolder(parts, record.podUid);
  if (record.guest === undefined || existsSync(folder)) return;
  const draft = `${folder}.new`;
  rmSync(draft, { recursive: true, force: true });
  try {
    mkdirSync(draft, { recursive: true, mode: 0o700 });
    for (const [container, sources] of sourcesOf(parts, record, record.guest.runDir)) {
      writeFileSync(join(draft, container), await endOf(sources), { mode: 0o600 });
    }
    renameSync(draft, folder);
  } catch (thrown) {
    rmSync(draft, { recursive: true, force: true });
    throw thrown;
  }
}

/** Removes what is kept of a pod. */
export function forgetPodLogs(parts: Pick<PodLogParts, "logsDir">, podUid: string): void {
  for (const folder of [keptFolder(parts, podUid), `${keptFolder(parts, podUid)}.new`]) {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** UIDs of the pods of which something is kept. */
export function podsWithKeptLogs({ logsDir }: Pick<PodLogParts, "logsDir">): readonly string[] {
  const folder = join(logsDir, "pods");
  return existsSync(folder) ? readdirSync(folder).map((name) => name.replace(/\.new$/, "")) : [];
}

async function endOf(sources: readonly LogSource[]): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of readLogs(sources)) {
    pieces.push(piece);
    bytes += piece.length;
    for (let first = pieces[0]; first !== undefined && bytes - first.length >= KEPT_BYTES; first = pieces[0]) {
      bytes -= first.length;
      pieces.shift();
    }
  }
  return Buffer.concat(pieces).subarray(-KEPT_BYTES);
}

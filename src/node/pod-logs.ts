import { join } from "node:path";
import { guestFiles } from "../host/guest/guest-files.ts";
import type { LogSource } from "../host/guest/log-reader.ts";
import { passtNics } from "../host/guest/passt.ts";
import { COMPUTE_CONTAINER, CONSOLE_LOG_CONTAINER } from "../model/pods/launcher-pod.ts";
import type { PodRecord, PodRecords } from "./records.ts";

/** What the logs of this node's pods are found with. */
export interface PodLogParts {
  /** `D/logs`: what each QEMU says. */
  readonly logsDir: string;
  readonly records: PodRecords;
}

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

/** The log of a pod's container; undefined where no guest was started in it, or its guest is gone. */
export function podLog(parts: PodLogParts, podUid: string, container: string): PodLog | undefined {
  const record = parts.records.get(podUid);
  if (record?.guest === undefined) return undefined;
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

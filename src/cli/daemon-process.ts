import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Fault } from "../model/fault.ts";
import type { DataPaths } from "./paths.ts";

/** A daemon's process, told from another that got its number later. */
export interface DaemonProcess {
  readonly pid: number;
  readonly startTime: string;
}

/** Start of a process in clock ticks since boot, proc(5); undefined where there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** The daemon of a data folder, where it lives. */
export function livingDaemon(paths: DataPaths): DaemonProcess | undefined {
  let text: string;
  try {
    text = readFileSync(paths.pidFile, "utf8");
  } catch {
    return undefined;
  }
  const [pidText = "", startTime = ""] = text.trim().split("\n");
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0 || startTimeOf(pid) !== startTime) return undefined;
  return { pid, startTime };
}

/** Makes this process the data folder's daemon; PB6110 where there is one. The file's first line is the pid. */
export function claimDataFolder(paths: DataPaths): void {
  const living = livingDaemon(paths);
  if (living !== undefined) {
    throw new Fault("PB6110", `A daemon runs already on ${paths.root} (process ${living.pid}).`, {
      place: paths.pidFile,
      cure: `Use it, stop it with \`patchbay down --data-dir ${paths.root}\`, or give another folder with --data-dir.`,
    });
  }
  rmSync(paths.pidFile, { force: true });
  let fd: number;
  try {
    fd = openSync(paths.pidFile, "wx", 0o644);
  } catch (cause) {
    if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw notWritten(paths.pidFile, cause);
    throw new Fault("PB6110", `Another daemon is starting on ${paths.root}.`, {
      place: paths.pidFile,
      cure: "Wait for it, or give another folder with --data-dir.",
      cause,
    });
  }
  try {
    writeFileSync(fd, `${process.pid}\n${startTimeOf(process.pid)}\n`);
  } catch (cause) {
    rmSync(paths.pidFile, { force: true });
    throw notWritten(paths.pidFile, cause);
  } finally {
    closeSync(fd);
  }
}

/** The fault of a file in the data folder that the daemon cannot do without. */
export function notWritten(file: string, cause: unknown): Fault {
  return new Fault("PB6001", `${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}.`, {
    place: file,
    cure: "Look at the free space of its disk (df) and the folder's rights.",
    cause,
  });
}

export function leaveDataFolder(paths: DataPaths): void {
  rmSync(paths.pidFile, { force: true });
}

/** True while exactly that process lives. */
export function isLiving(daemon: DaemonProcess): boolean {
  return startTimeOf(daemon.pid) === daemon.startTime;
}

import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault } from "../../model/fault.ts";
import { qemuUser } from "../setup/needs.ts";
import { findUser, type User } from "../setup/users.ts";

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks from the machine's boot to the process's start: field 22 of proc_pid_stat(5). */
  readonly startTime: number;
}

const POLL_MS = 10;

/** The start time of a living process; undefined where there is none, or only its remains (state Z). */
export function startTimeOf(pid: number): number | undefined {
  let stat: string;
  try {
    stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTime = Number(fields[19]);
  return fields[0] === "Z" || fields[0] === "X" || !Number.isSafeInteger(startTime) ? undefined : startTime;
}

/** True while exactly this process lives. */
export function isRunning(id: ProcessId): boolean {
  return startTimeOf(id.pid) === id.startTime;
}

/** Sends SIGKILL to exactly this process; nothing where it is gone. */
export function kill(id: ProcessId): void {
  if (!isRunning(id)) return;
  try {
    process.kill(id.pid, "SIGKILL");
  } catch (thrown) {
    if (isRunning(id)) throw thrown;
  }
}

/** Waits for the end of a process that may be somebody else's child; false where it outlives `timeoutMs`. */
export async function goneWithin(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isRunning(id)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** A QEMU found in the process list. */
export interface FoundQemu extends ProcessId {
  readonly uuid: string;
  /** Where it runs: the guest's folder. */
  readonly folder: string;
  readonly arguments: readonly string[];
}

/**
 * The QEMUs that run as `user`, found by their arguments: for the guest whose record was not written any more, because
 * the daemon died between the start and the record.
 */
export function findQemus(user: User): FoundQemu[] {
  return fs.readdirSync("/proc").flatMap((entry): FoundQemu[] => {
    const pid = Number(entry);
    if (!Number.isSafeInteger(pid)) return [];
    try {
      if (fs.statSync(`/proc/${pid}`).uid !== user.uid) return [];
      const args = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const uuid = args[args.indexOf("-uuid") + 1];
      const folder = fs.readlinkSync(`/proc/${pid}/cwd`);
      const startTime = startTimeOf(pid);
      if (!args.includes("-uuid") || uuid === undefined || startTime === undefined) return [];
      return [{ pid, startTime, uuid, folder, arguments: args }];
    } catch {
      return [];
    }
  });
}

/**
 * The user that QEMU runs as.
 *
 * @throws Fault PB5054
 */
export function findQemuUser(name: string = qemuUser): User {
  const user = findUser(name);
  if (user !== undefined && user.uid !== 0) return user;
  throw new Fault(
    "PB5054",
    `This machine has no user ${name}${user === undefined ? "" : " without rights"}, which QEMU runs as.`,
    {
      cure: "Run ./patchbay setup.",
      place: "/etc/passwd",
    },
  );
}

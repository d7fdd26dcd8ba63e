import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault, isFault } from "../../model/fault.ts";
import { isJsonObject } from "../../model/json.ts";
import { withLockedMemory } from "../linux/locked-memory.ts";
import { within } from "../linux/netns.ts";
import type { User } from "../setup/users.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { kvmUser } from "./accelerator.ts";
import { qemuCommandLine, startsPaused } from "./command-line.ts";
import { guestFiles } from "./guest-files.ts";
import { lastWords } from "./guest-log.ts";
import type { GuestSpec } from "./guest-spec.ts";
import { findQemus, findQemuUser, goneWithin, isRunning, kill, type ProcessId, startTimeOf } from "./process.ts";
import { qemuPath } from "./qemu-facts.ts";
import { connectQmp, type Qmp } from "./qmp.ts";
import { resolverFile, withResolver } from "./resolver-mount.ts";
import { type ChildExit, type GuestRecord, type RunningGuest, runningGuest, unkillable } from "./running-guest.ts";

/** Where a guest runs. */
export interface GuestPlace {
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** The guest's folder for sockets and its console's log; made here, and given to QEMU's user. */
  readonly runDir: string;
  /** What QEMU says, appended. The folder exists. */
  readonly logFile: string;
  /** Called in the same turn as the start of QEMU, so that the record can be written before anything else happens. */
  readonly started?: (record: GuestRecord) => void;
  /** Calls the start off. */
  readonly signal?: AbortSignal;
}

/** Starts guests and finds them again; the only one that knows how QEMU is run. */
export interface GuestRunner {
  /**
   * Starts QEMU in the pod's namespace, unprivileged, with the tap fds of `fds` (by NIC name, one a queue; the caller
   * closes its copies), and waits until it answers. QEMU outlives this process.
   *
   * @throws Fault PB5054, PB5055, PB5056 (QEMU's words), PB5057, PB5059, PB5060, or the signal's reason; then no process is
   * left
   */
  start(spec: GuestSpec, fds: ReadonlyMap<string, readonly number[]>, place: GuestPlace): Promise<RunningGuest>;
  /**
   * The guest of a record, if exactly that process lives and answers with that UUID. Of a guest that shut itself down
   * while nobody looked, `exited` tells.
   *
   * @throws Fault PB5057, PB5062: it lives, but does not answer
   */
  find(record: GuestRecord): Promise<RunningGuest | undefined>;
  /**
   * Ends the guest of a record at once by SIGKILL, for one that does not answer. Nothing where it is gone.
   *
   * @throws Fault PB5057 where even that does not end it
   */
  destroy(record: GuestRecord): Promise<void>;
  /**
   * Likewise whatever runs in a guest's folder: for the guest of which there is no record, because the daemon died between
   * its start and the record.
   */
  destroyIn(runDir: string): Promise<void>;
}

const READY_DEADLINE_MS = 15_000;
/** Memory that is had at once is cleared page by page before QEMU's monitor answers: half a GiB a second at the least. */
const CLEARED_MS_PER_MIB = 2;
const RETRY_MS = 5;
const KILL_DEADLINE_MS = 5_000;

/** The runner of a machine without Kubernetes: QEMU is started here, as a child that outlives its parent. */
export function localRunner(): GuestRunner {
  return { start, find, destroy, destroyIn };
}

async function start(
  spec: GuestSpec,
  fds: ReadonlyMap<string, readonly number[]>,
  place: GuestPlace,
): Promise<RunningGuest> {
  const files = guestFiles(place.runDir);
  const user = userFor(spec.accel);
  const program = qemuPath();
  const { numbers, stdio } = childFds(fds);
  const args = qemuCommandLine(spec, numbers);
  makeRunDir(place.runDir, user);
  const begun = withResolver({ program, args, user }, resolverFile(spec.nics, place.runDir));

  const log = fs.openSync(place.logFile, "a", 0o640);
  let child: ChildProcess;
  let logStart: number;
  try {
    logStart = fs.fstatSync(log).size;
    const begin = (): ChildProcess =>
      within(place.netns, () =>
        spawn(begun.program, begun.args, {
          ...begun.user,
          detached: true,
          // QEMU names its files relative to this: what lies above need not be open to its user.
          cwd: place.runDir,
          env: { PATH: "/usr/bin:/bin" },
          stdio: ["ignore", log, log, ...stdio],
        }),
      );
    child = locksMemory(spec) ? withLockedMemory(BigInt(spec.hardware.memoryMiB) << 20n, begin) : begin();
  } finally {
    fs.closeSync(log);
  }
  const exit = exitOf(child);
  const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
  if (child.pid === undefined || startTime === undefined) throw await notStarted(exit, place, logStart);
  const record: GuestRecord = {
    pid: child.pid,
    startTime,
    uuid: spec.uuid,
    runDir: place.runDir,
    logFile: place.logFile,
  };
  try {
    place.started?.(record);
    child.unref();
    const connected = firstConnection(files.qmp, exit, readyDeadlineMs(spec));
    const qmp = await unlessAborted(Promise.race([connected, exit.then(() => undefined)]), place.signal);
    if (qmp === undefined) throw await notStarted(exit, place, logStart);
    const guest = runningGuest(record, qmp, exit, logStart);
    if (startsPaused(spec)) {
      for (const nic of spec.nics) if (!nic.linkUp) await guest.setLink(nic.name, false);
      if (spec.paused !== true) await qmp.execute("cont");
    }
    return guest;
  } catch (thrown) {
    kill(record);
    await Promise.race([exit, goneWithin(record, KILL_DEADLINE_MS)]);
    throw thrown;
  }
}

/** How long a guest's QEMU may take until its monitor answers. */
export function readyDeadlineMs(spec: Pick<GuestSpec, "nics" | "hardware" | "devices">): number {
  const isCleared = locksMemory(spec) || spec.devices?.hugepageBytes !== undefined;
  return READY_DEADLINE_MS + (isCleared ? spec.hardware.memoryMiB * CLEARED_MS_PER_MIB : 0);
}

/** VFIO pins all of a guest's memory, where its devices may reach it. */
function locksMemory({ nics }: Pick<GuestSpec, "nics">): boolean {
  return nics.some(({ attachment }) => attachment.kind === "vfio");
}

async function find(record: GuestRecord): Promise<RunningGuest | undefined> {
  if (!isRunning(record)) return undefined;
  let qmp: Qmp;
  try {
    qmp = await connectQmp(guestFiles(record.runDir).qmp);
  } catch (thrown) {
    if (!isRunning(record)) return undefined;
    throw thrown;
  }
  try {
    const answer = await qmp.execute("query-uuid");
    const uuid = isJsonObject(answer) ? answer["UUID"] : undefined;
    if (typeof uuid === "string" && uuid.toLowerCase() === record.uuid.toLowerCase()) {
      return runningGuest(record, qmp, undefined, 0);
    }
  } catch (thrown) {
    qmp.close();
    throw thrown;
  }
  qmp.close();
  return undefined;
}

async function destroy(record: GuestRecord): Promise<void> {
  await end(record, record.runDir);
}

async function destroyIn(runDir: string): Promise<void> {
  const here = fs.existsSync(runDir) ? fs.realpathSync(runDir) : runDir;
  let user: User;
  try {
    user = findQemuUser();
  } catch (thrown) {
    // Without that user nothing was ever started.
    if (isFault(thrown, "PB5054")) return;
    throw thrown;
  }
  const found = findQemus(user).filter(({ folder }) => folder === here);
  await Promise.all(found.map((qemu) => end(qemu, runDir)));
}

async function end(id: ProcessId, runDir: string): Promise<void> {
  kill(id);
  if (!(await goneWithin(id, KILL_DEADLINE_MS))) throw unkillable(id, runDir);
}

function exitOf(child: ChildProcess): Promise<ChildExit> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, error }));
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
}

/** The monitor's socket appears some 30 ms after the start. */
async function firstConnection(path: string, exit: Promise<ChildExit>, withinMs: number): Promise<Qmp | undefined> {
  const deadline = performance.now() + withinMs;
  let over = false;
  void exit.then(() => {
    over = true;
  });
  while (!over) {
    try {
      return await connectQmp(path, withinMs);
    } catch (thrown) {
      if (!isFault(thrown, "PB5062") || performance.now() > deadline) throw thrown;
    }
    await sleep(RETRY_MS);
  }
  return undefined;
}

/** QEMU's own user; under KVM with the group that may open /dev/kvm. */
function userFor(accel: "kvm" | "tcg"): User {
  return (accel === "kvm" ? kvmUser() : undefined) ?? findQemuUser();
}

/** Numbers the fds as the child will see them, after stdin, stdout and stderr. */
function childFds(fds: ReadonlyMap<string, readonly number[]>): { numbers: Map<string, number[]>; stdio: number[] } {
  const stdio: number[] = [];
  const numbers = new Map<string, number[]>();
  for (const [nic, list] of fds) {
    numbers.set(
      nic,
      list.map((fd) => 3 + stdio.push(fd) - 1),
    );
  }
  return { numbers, stdio };
}

/** A folder that only QEMU's user (and root) can enter. */
function makeRunDir(runDir: string, user: User): void {
  fs.mkdirSync(runDir, { recursive: true, mode: 0o711 });
  fs.chmodSync(runDir, 0o700);
  fs.chownSync(runDir, user.uid, user.gid);
}

async function notStarted(exit: Promise<ChildExit>, place: GuestPlace, logStart: number): Promise<Fault> {
  const { code, signal, error } = await exit;
  if (error !== undefined) {
    return new Fault("PB5055", `QEMU cannot be run: ${error.message}.`, {
      cure: "Run ./patchbay setup.",
      cause: error,
    });
  }
  const words = lastWords(place.logFile, logStart);
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
  return new Fault("PB5056", `QEMU ended ${how} before it was ready${words === "" ? "." : `: ${words}.`}`, {
    cure: words.includes("set up guest memory")
      ? "Ask for less memory in domain.memory.guest or domain.resources.requests.memory."
      : "Correct what QEMU names in the VMI, or on this machine; it is tried again.",
    data: { code, signal },
  });
}

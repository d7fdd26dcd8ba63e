import { setTimeout as sleep } from "node:timers/promises";
import { Fault, isFault } from "../../model/fault.ts";
import { diskId, nicId } from "../../model/guest/hardware.ts";
import { isJsonObject } from "../../model/json.ts";
import { guestFiles } from "./guest-files.ts";
import { keepBounded, lastWords } from "./guest-log.ts";
import { goneWithin, kill, type ProcessId } from "./process.ts";
import type { Qmp } from "./qmp.ts";

/** What must be kept to find a guest again. Plain data. */
export interface GuestRecord extends ProcessId {
  readonly uuid: string;
  readonly runDir: string;
  readonly logFile: string;
}

/** How a child ended. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Set where it never ran. */
  readonly error?: Error;
}

/** A guest whose QEMU runs and answers. */
export interface RunningGuest {
  readonly record: GuestRecord;
  readonly qmp: Qmp;
  /** Fulfilled once QEMU is gone, however it went; never after {@link release}. */
  readonly exited: Promise<ExitReport>;
  /**
   * Asks the guest to shut down; {@link exited} tells when it has. One that stands still is let go on, so that it hears.
   * Whether it does, or QEMU answers at all, is not told.
   */
  pressPowerButton(): Promise<void>;
  /**
   * Ends QEMU at once, whatever the guest does.
   *
   * @throws Fault PB5057 where even SIGKILL does not end it
   */
  end(): Promise<ExitReport>;
  /** The link of a NIC, by its name in the manifest, as the guest sees its carrier. */
  setLink(nic: string, up: boolean): Promise<void>;
  /** Stops or continues the guest's processors. Does nothing where it is so, and to a guest that has shut down. */
  setPaused(paused: boolean): Promise<void>;
  /**
   * Lets a guest go on that QEMU stopped because of a disk, by the disk's error policy: what failed is tried again. Gives
   * the disks that it was stopped for, by their names in the manifest; undefined where it was not.
   */
  retryDisks(): Promise<readonly FailedDisk[] | undefined>;
  /** QEMU's run state: `running`, `paused`, `shutdown`, … */
  status(): Promise<string>;
  /** Lets go of the guest, which runs on; the other methods are of no use afterwards. */
  release(): void;
}

/** A disk that QEMU could not read or write. */
export interface FailedDisk {
  readonly name: string;
  /** There was no room for what the guest wrote. */
  readonly noSpace: boolean;
}

/** Why and how a QEMU ended. */
export interface ExitReport {
  /**
   * `shutdown`: the guest shut itself down. `powerdown`: it did so when asked. `quit`: it was ended. `panic`: the guest's
   * kernel panicked. `watchdog`: its watchdog switched it off. `signal`: QEMU was asked to end by a signal. `killed`: it
   * ended without saying anything, as SIGKILL does. `crashed`: it failed.
   */
  readonly reason: "shutdown" | "powerdown" | "quit" | "panic" | "watchdog" | "signal" | "killed" | "crashed";
  /** QEMU's last lines; may be empty. */
  readonly lastWords: string;
  /** Known only to the process that started it. */
  readonly code?: number;
  readonly signal?: string;
}

const QUIT_MS = 2_000;
const KILL_MS = 5_000;
/** Run states that only a command ends: paused by one, or not begun. */
const STOPPED = ["paused", "prelaunch"];
/** The run state of a guest that QEMU stopped because of a disk. */
const IO_ERROR = "io-error";
/** How long a QEMU may take to end after it closed its monitor. */
const HANGUP_MS = 2_000;

/** Watches a QEMU. `exit` is there where it is a child of this process; `logStart`: where its output begins. */
export function runningGuest(
  record: GuestRecord,
  qmp: Qmp,
  exit: Promise<ChildExit> | undefined,
  logStart: number,
): RunningGuest {
  let shutdown: string | undefined;
  let asked = false;
  let released = false;
  /** The guest has ended; QEMU waits to be ended too. What is said first is the reason. */
  const ended = (reason: string): void => {
    shutdown ??= reason;
    void unlessGone(qmp.execute("quit", undefined, QUIT_MS));
  };
  qmp.onEvent((event) => {
    if (event.name === "GUEST_PANICKED") shutdown ??= "guest-panic";
    if (event.name === "WATCHDOG" && event.data["action"] === "poweroff") shutdown ??= "watchdog";
    if (event.name === "SHUTDOWN") ended(String(event.data["reason"] ?? ""));
  });

  const stopCutting = keepBounded([guestFiles(record.runDir).consoleLog, record.logFile]);
  const watch = async (): Promise<ExitReport> => {
    await qmp.closed;
    stopCutting();
    if (released) return new Promise(() => {});
    // Without its monitor nothing can be said about a guest any more.
    if (!(await goneWithin(record, HANGUP_MS))) unlessRefused(() => kill(record));
    const end = exit === undefined ? undefined : await exit;
    if (exit === undefined) await goneWithin(record, KILL_MS);
    return {
      reason: reasonOf(shutdown, asked, end),
      lastWords: lastWords(record.logFile, logStart),
      ...(end?.code === undefined || end.code === null ? {} : { code: end.code }),
      ...(end?.signal === undefined || end.signal === null ? {} : { signal: end.signal }),
    };
  };
  const exited = watch();

  const endedWithin = async (milliseconds: number): Promise<ExitReport | undefined> => {
    const cancel = new AbortController();
    try {
      const timeout = sleep(milliseconds, undefined, { signal: cancel.signal }).catch(() => undefined);
      return await Promise.race([exited, timeout]);
    } finally {
      cancel.abort();
    }
  };

  const requireHeld = (): void => {
    if (released) throw new TypeError("this guest was let go of");
  };

  // Asked only now that events are heard: a guest that ends in between is told by one of the two.
  void unlessGone(
    queryStatus(qmp).then((status) => {
      if (status === "shutdown") ended("guest-shutdown");
    }),
  );

  return {
    record,
    qmp,
    exited,
    async pressPowerButton() {
      requireHeld();
      asked = true;
      if ([...STOPPED, IO_ERROR].includes(await queryStatus(qmp).catch(() => "")))
        await unlessGone(qmp.execute("cont"));
      await unlessGone(qmp.execute("system_powerdown"));
    },
    async end() {
      requireHeld();
      await unlessGone(qmp.execute("quit", undefined, QUIT_MS));
      const quit = await endedWithin(QUIT_MS);
      if (quit !== undefined) return quit;
      kill(record);
      const killed = await endedWithin(KILL_MS);
      if (killed !== undefined) return killed;
      throw unkillable(record, record.runDir);
    },
    async setLink(nic, up) {
      await qmp.execute("set_link", { name: nicId(nic), up });
    },
    async setPaused(paused) {
      const state = await queryStatus(qmp);
      if (paused && state === "running") await qmp.execute("stop");
      if (!paused && STOPPED.includes(state)) await qmp.execute("cont");
    },
    async retryDisks() {
      if ((await queryStatus(qmp)) !== IO_ERROR) return undefined;
      const failed = failedDisks(await qmp.execute("query-block"));
      await qmp.execute("cont");
      return failed;
    },
    status: () => queryStatus(qmp),
    release() {
      released = true;
      qmp.close();
    },
  };
}

async function queryStatus(qmp: Qmp): Promise<string> {
  const answer = await qmp.execute("query-status");
  return isJsonObject(answer) && typeof answer["status"] === "string" ? answer["status"] : "unknown";
}

/** The disks of query-block's answer whose state is not `ok` (qapi/block-core.json, BlockDeviceIoStatus). */
function failedDisks(answer: unknown): readonly FailedDisk[] {
  const devices: readonly unknown[] = Array.isArray(answer) ? answer : [];
  return devices.flatMap((device) => {
    if (!isJsonObject(device)) return [];
    const { qdev, "io-status": state } = device;
    if (typeof qdev !== "string" || state === undefined || state === "ok") return [];
    // A device's id, or its path, which of a virtio disk ends in its backend.
    const id =
      qdev
        .replace(/\/virtio-backend$/, "")
        .split("/")
        .at(-1) ?? "";
    return id.startsWith(diskId("")) ? [{ name: id.slice(diskId("").length), noSpace: state === "nospace" }] : [];
  });
}

/** For a QEMU that SIGKILL does not end. */
export function unkillable({ pid }: ProcessId, runDir: string): Fault {
  return new Fault("PB5057", `QEMU (process ${pid}) does not end, not even by SIGKILL.`, {
    cure: "A device of the machine may be stuck; see dmesg.",
    place: runDir,
  });
}

/** A process that may not be killed is somebody else's by now, and this guest is gone all the same. */
function unlessRefused(act: () => void): void {
  try {
    act();
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EPERM")) throw thrown;
  }
}

/** An answer that no longer comes, because QEMU ended or hangs, is no failure of ending it. */
async function unlessGone(answer: Promise<unknown>): Promise<void> {
  try {
    await answer;
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown;
  }
}

function reasonOf(shutdown: string | undefined, asked: boolean, exit: ChildExit | undefined): ExitReport["reason"] {
  switch (shutdown) {
    case "guest-shutdown":
      return asked ? "powerdown" : "shutdown";
    case "guest-panic":
      return "panic";
    case "watchdog":
      return "watchdog";
    case "host-qmp-quit":
      return "quit";
    case "host-signal":
      return "signal";
    case undefined:
      return exit === undefined || exit.signal === "SIGKILL" ? "killed" : "crashed";
    default:
      return exit?.code === 0 ? "shutdown" : "crashed";
  }
}

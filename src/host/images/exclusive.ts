import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Fault } from "../../model/fault.ts";
import { flock, LOCK_EX, LOCK_NB } from "../linux/libc.ts";

const MOST_WAIT_MS = 10 * 60_000;
const STEP_MS = 50;
/** Waiting is told after this, and again after each of {@link TELL_AGAIN_MS}. */
const TELL_MS = 1_000;
const TELL_AGAIN_MS = 30_000;
const LONGEST_COMMAND = 100;

/** How the wait for others is spent. */
export interface WaitOptions {
  /** Called with a line that says who is waited for, where the wait is one that a person notices. */
  readonly onWait?: ((line: string) => void) | undefined;
  /** Ends the wait; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` while no other holder of the same lock file runs, in this process or in another.
 *
 * The lock ends with its process, however that ends. Fails with PB5005 after ten minutes of waiting.
 */
export async function exclusively<T>(lockFile: string, work: () => Promise<T>, options: WaitOptions = {}): Promise<T> {
  const handle = await open(lockFile, "a", 0o600);
  try {
    await lock(handle, lockFile, options);
    return await work();
  } finally {
    await handle.close();
  }
}

async function lock(handle: FileHandle, lockFile: string, { onWait, signal }: WaitOptions): Promise<void> {
  const began = performance.now();
  let tellAt = TELL_MS;
  while (flock(handle.fd, LOCK_EX | LOCK_NB) !== 0) {
    const waited = performance.now() - began;
    if (waited >= MOST_WAIT_MS) {
      const holder = await holderOf(handle);
      throw new Fault("PB5005", `For ten minutes ${holder} has not been done with ${dirname(lockFile)}.`, {
        cure: "See whether it still works; end it if it does not, then try again.",
        place: lockFile,
      });
    }
    if (onWait !== undefined && waited >= tellAt) {
      onWait(`waiting until ${await holderOf(handle)} is done with ${dirname(lockFile)}`);
      tellAt += TELL_AGAIN_MS;
    }
    await setTimeout(STEP_MS, undefined, signal === undefined ? {} : { signal }).catch((thrown: unknown) => {
      signal?.throwIfAborted();
      throw thrown;
    });
  }
}

/** Who has the lock, as words, by the kernel's table of locks (proc_locks(5)). */
async function holderOf(handle: FileHandle): Promise<string> {
  const { dev, ino } = await handle.stat({ bigint: true });
  const hex = (value: bigint): string => value.toString(16).padStart(2, "0");
  const [major, minor] = [(dev >> 8n) & 0xfffn, (dev & 0xffn) | ((dev >> 12n) & 0xfff00n)];
  const file = ` ${hex(major)}:${hex(minor)}:${ino} `;
  const table = await readFile("/proc/locks", "utf8").catch(() => "");
  const line = table.split("\n").find((entry) => entry.includes(" FLOCK ") && entry.includes(file));
  const pid = line === undefined ? undefined : /\s(\d+)\s[0-9a-f]+:/.exec(line)?.[1];
  if (pid === undefined) return "another process";
  const command = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ").trim();
  const short = command.length <= LONGEST_COMMAND ? command : `… ${command.slice(-LONGEST_COMMAND)}`;
  return `process ${pid}${short === "" ? "" : ` (${short})`}`;
}

import { type FileHandle, open } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { Fault } from "../../model/fault.ts";
import { flock } from "../linux/libc.ts";

/** flock(2). */
const LOCK_EX_NB = 2 | 4;
const MOST_WAIT_MS = 10 * 60_000;
const STEP_MS = 50;

/**
 * Runs `work` while no other holder of the same lock file runs, in this process or in another.
 *
 * The lock ends with its process, however that ends. Fails with PB5005 after ten minutes of waiting.
 */
export async function exclusively<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  const handle = await open(lockFile, "a", 0o600);
  try {
    await lock(handle, lockFile);
    return await work();
  } finally {
    await handle.close();
  }
}

async function lock(handle: FileHandle, lockFile: string): Promise<void> {
  for (let waited = 0; flock(handle.fd, LOCK_EX_NB) !== 0; waited += STEP_MS) {
    if (waited >= MOST_WAIT_MS) {
      throw new Fault("PB5005", `Another process has held ${lockFile} for ten minutes.`, {
        cure: `\`fuser ${lockFile}\` names it; end it, then try again.`,
        place: lockFile,
      });
    }
    await setTimeout(STEP_MS);
  }
}

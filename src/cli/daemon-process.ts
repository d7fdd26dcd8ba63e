import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { flock, LOCK_EX, LOCK_NB, LOCK_SH } from "../host/linux/libc.ts";
import { Fault } from "../model/fault.ts";
import { shellWord } from "../model/shell-word.ts";
import type { DataPaths } from "./paths.ts";

/** Somebody who only looks holds the lock for a moment. */
const CLAIM_MS = 1_000;
const RETRY_MS = 20;

/** A data folder that this process is the daemon of, until it is let go of or the process ends, however it ends. */
export interface ClaimedFolder {
  release(): void;
}

/** The process number of the daemon that lives on a data folder. The lock says that it lives; its number is for people. */
export function livingDaemon(paths: DataPaths): number | undefined {
  let fd: number;
  try {
    fd = openSync(paths.lock, "r");
  } catch (thrown) {
    if (!isRefused(thrown)) return undefined;
    throw new Fault("PB6001", `This user may not look into ${paths.root}.`, {
      place: paths.root,
      cure: "Run the command with sudo, or name a folder of this user's own with --data-dir.",
      cause: thrown,
    });
  }
  try {
    if (flock(fd, LOCK_SH | LOCK_NB) === 0) return undefined;
    const pid = Number(readFileSync(paths.pidFile, "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    // It has the lock and not yet written its number, or is about to end.
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** True where the kernel says that this user may not. */
export function isRefused(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && (thrown.code === "EACCES" || thrown.code === "EPERM");
}

/** Makes this process the data folder's daemon. PB6110 where there is one, PB6001 where the folder cannot be written. */
export async function claimDataFolder(paths: DataPaths): Promise<ClaimedFolder> {
  const fd = writing(paths.lock, () => openSync(paths.lock, "a", 0o600));
  const deadline = performance.now() + CLAIM_MS;
  while (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    if (performance.now() < deadline) {
      await sleep(RETRY_MS);
      continue;
    }
    closeSync(fd);
    const pid = livingDaemon(paths);
    throw new Fault(
      "PB6110",
      `A daemon runs already on ${paths.root}${pid === undefined ? "" : ` (process ${pid})`}.`,
      {
        place: paths.root,
        cure: `Use it, stop it with \`patchbay down --data-dir ${shellWord(paths.root)}\`, or give another folder with --data-dir.`,
      },
    );
  }
  try {
    writing(paths.pidFile, () => writeFileSync(paths.pidFile, `${process.pid}\n`, { mode: 0o600 }));
  } catch (thrown) {
    rmSync(paths.pidFile, { force: true });
    closeSync(fd);
    throw thrown;
  }
  return {
    release: () => {
      rmSync(paths.pidFile, { force: true });
      closeSync(fd);
    },
  };
}

/** Does what the daemon cannot do without, or says why a file of the data folder cannot be written. */
export function writing<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new Fault("PB6001", `${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}.`, {
      place: file,
      cure: "Look at the free space of its disk (df) and the folder's rights.",
      cause,
    });
  }
}

import * as fs from "node:fs";
import { isFault } from "../../model/fault.ts";
import { isRunning, type ProcessId } from "./process.ts";
import type { Qmp } from "./qmp.ts";

const LOOK_MS = 2_000;
/** So many looks in a row at which it has not waited for anything. */
const LOOKS = 3;
const ANSWER_MS = 3_000;

/**
 * Tells, once, of a passt that computes without end while its QEMU answers nothing: Debian 12's sends the same frames for
 * ever at times, seen with NICs whose drivers pad short frames. QEMU, whose socket it does not read any more, then waits in
 * the midst of sending, and the whole guest stands still. A passt that is merely busy has a QEMU that answers.
 *
 * Returns what ends the watch.
 */
export function watchForStandstill(
  passt: ProcessId,
  qmp: Pick<Qmp, "execute">,
  standsStill: () => void,
  lookMs: number = LOOK_MS,
): () => void {
  let pauses = pausesOf(passt);
  let looks = 0;
  let asking = false;
  const look = async (): Promise<void> => {
    const now = pausesOf(passt);
    looks = now !== undefined && now === pauses ? looks + 1 : 0;
    pauses = now;
    if (looks < LOOKS) return;
    looks = 0;
    if ((await isSilent(qmp)) && pausesOf(passt) === now && isRunning(passt)) {
      clearInterval(timer);
      standsStill();
    }
  };
  const timer = setInterval(() => {
    if (asking) return;
    asking = true;
    void look().finally(() => {
      asking = false;
    });
  }, lookMs);
  return () => clearInterval(timer);
}

/** How often a process has waited for something; undefined where it waits just now, or is gone. */
function pausesOf({ pid }: ProcessId): number | undefined {
  let status: string;
  try {
    status = fs.readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return undefined;
  }
  const [, count] = /^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status) ?? [];
  return /^State:\s+R/m.test(status) && count !== undefined ? Number(count) : undefined;
}

async function isSilent(qmp: Pick<Qmp, "execute">): Promise<boolean> {
  try {
    await qmp.execute("query-status", undefined, ANSWER_MS);
    return false;
  } catch (thrown) {
    return isFault(thrown, "PB5057");
  }
}

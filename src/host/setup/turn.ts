import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { Fault } from "../../model/fault.ts";

/** The file that says who is installing. */
export const turnFile = "/run/patchbay-setup.pid";

/** Field 22 of /proc/PID/stat, the start time in clock ticks: with the pid it names one process for ever. */
function startTime(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/**
 * Lets one setup at a time change the machine; the answer ends the turn.
 *
 * The file of a process that is gone is taken over. Throws PB6903 when another setup is at work.
 */
export function takeTurn(file: string = turnFile): () => void {
  const mine = `${process.pid} ${startTime(String(process.pid)) ?? ""}\n`;
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: "wx" });
      return () => rmSync(file, { force: true });
    } catch (thrown) {
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST")) throw thrown;
    }
    const [pid = "", started = ""] = readFileSync(file, "utf8").trim().split(" ");
    if (startTime(pid) === started && started !== "") {
      throw new Fault("PB6903", `Another setup, process ${pid}, is installing on this machine.`, {
        place: file,
        cure: "Wait until it has ended, then run setup again.",
      });
    }
    rmSync(file, { force: true });
  }
}

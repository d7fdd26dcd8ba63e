import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { Fault } from "../../model/fault.ts";
import { flock, LOCK_EX, LOCK_NB } from "../linux/libc.ts";

/** The file whose lock a setup holds, and that says who it is. */
const turnFile = "/run/patchbay-setup.pid";

/**
 * Lets one setup at a time change the machine; the answer ends the turn. The kernel ends it with the process, so what a
 * killed setup left is taken over.
 *
 * Throws PB6903 when another setup is at work.
 */
export function takeTurn(file: string = turnFile): () => void {
  for (;;) {
    const fd = openSync(file, "a", 0o644);
    if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
      closeSync(fd);
      const pid = readFileSync(file, "utf8").trim();
      throw new Fault(
        "PB6903",
        `Another setup${pid === "" ? "" : `, process ${pid},`} is installing on this machine.`,
        {
          place: file,
          cure: "Wait until it has ended, then run setup again.",
        },
      );
    }
    // Whoever had the turn removed the file between the opening and the lock: that lock keeps nobody out.
    if (statSync(file, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
      closeSync(fd);
      continue;
    }
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`);
    return () => {
      rmSync(file, { force: true });
      closeSync(fd);
    };
  }
}

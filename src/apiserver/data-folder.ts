import { chmodSync, closeSync, existsSync, fsyncSync, lstatSync, openSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Logger } from "pino";
import { makeFolder } from "../host/make-folder.ts";
import { writeWhole } from "../host/whole-file.ts";
import { Fault } from "../model/fault.ts";
import { shellWord } from "../model/shell-word.ts";

/** What an image command makes in a data folder before there is a daemon: nothing that is secret. */
export const IMAGE_FOLDERS: readonly string[] = ["images", "cache"];

/** What mkfs puts into the root of a new ext4: a data folder may be a disk of its own. */
const FRESH_DISK = "lost+found";

/**
 * Makes the folder, or sees to it that only its owner can enter.
 *
 * One with looser rights than 0700 is tightened where nothing is in it but what `harmless` names. With anything else in it
 * it is refused: others may have read or changed that, or the folder is not meant to be this one's at all.
 *
 * @throws Fault PB6001 where it is no folder of this user's own, or others can enter it.
 */
export function ownFolder(path: string, log: Logger, harmless: readonly string[] = []): void {
  try {
    if (!existsSync(path)) makeFolder(path, 0o700);
    const found = lstatSync(path);
    if (!found.isDirectory()) {
      throw new Fault("PB6001", `${path} is ${found.isSymbolicLink() ? "a symbolic link" : "no folder"}`, {
        place: path,
        cure: "Name a folder with --data-dir.",
      });
    }
    const user = process.geteuid?.();
    if (user !== undefined && found.uid !== user) {
      throw new Fault("PB6001", `${path} belongs to user ${found.uid}, and this is user ${user}`, {
        place: path,
        cure: `Run \`chown -R ${user} ${shellWord(path)}\`, or choose another folder with --data-dir.`,
      });
    }
    if ((found.mode & 0o077) !== 0) {
      const inside = readdirSync(path).find((name) => name !== FRESH_DISK && !harmless.includes(name));
      if (inside !== undefined) {
        const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
        throw new Fault("PB6001", `others can enter ${path} (its mode is ${mode}), and "${inside}" is in it`, {
          place: path,
          cure: `Run \`chmod 700 ${shellWord(path)}\` if nobody else has used it; remove the keys below it (pki) first if somebody may have. Or choose another folder with --data-dir.`,
        });
      }
      chmodSync(path, 0o700);
      log.warn(
        { path, mode: (found.mode & 0o777).toString(8) },
        "others could enter this folder; its rights are 0700 now",
      );
    }
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw new Fault("PB6001", `the folder ${path} cannot be used: ${reasonOf(thrown)}`, {
      place: path,
      cure: "Choose another folder with --data-dir.",
      cause: thrown,
    });
  }
}

/**
 * Writes a file for its owner only (0600), whole; it is on the disk when this returns.
 *
 * @throws Fault PB6001
 */
export function writePrivateFile(path: string, content: string): void {
  try {
    writeWhole(path, content);
    const folder = openSync(dirname(path), "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (thrown) {
    throw new Fault("PB6001", `the file ${path} cannot be written: ${reasonOf(thrown)}`, {
      place: path,
      cure: "Look at the disk's free space and the folder's rights.",
      cause: thrown,
    });
  }
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

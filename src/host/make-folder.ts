import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it that are missing, each with `mode`; one that is there is left as it is.
 *
 * For paths that users name: `mkdir` of Node with `recursive` goes round for ever where the kernel says that there is no
 * such folder to make one in though there is, as below /proc.
 *
 * Throws what the file system says.
 */
export function makeFolder(path: string, mode = 0o777): void {
  try {
    makeOne(path, mode);
  } catch (thrown) {
    const above = dirname(path);
    if (!isMissing(thrown) || existsSync(above)) throw thrown;
    makeFolder(above, mode);
    makeOne(path, mode);
  }
}

function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (thrown) {
    // Another process may have made it meanwhile.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw thrown;
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
}

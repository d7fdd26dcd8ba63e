import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";

/** What stands behind the name of a file that is being written: a process that died meanwhile leaves it. */
export const DRAFT = ".new";

/**
 * Puts text in a file's place, for its owner only (0600): whoever reads it, also after a crash of the machine, finds the
 * old content or the new one. One writer at a time.
 *
 * Throws what the file system says; then the old content stands and no draft is left.
 */
export function writeWhole(path: string, text: string): void {
  const draft = `${path}${DRAFT}`;
  try {
    const file = openSync(draft, "w", 0o600);
    try {
      // Not writeSync: on a disk that gets full it writes a part, and says so by its result only.
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw thrown;
  }
}

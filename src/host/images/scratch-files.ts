import { randomUUID } from "node:crypto";
import { type FileHandle, link, lstat, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isNoSpace, noRoom } from "../full-disk.ts";

/** Nobody works on an image, or takes to start a guest, for longer. */
const OLD_MS = 24 * 3600_000;

/** Puts a file in its place once `write` has written all of it: readers see the old or the new. */
export async function place(
  path: string,
  scratch: string,
  mode: number,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const partial = join(scratch, randomUUID());
  try {
    const file = await open(partial, "wx", 0o600);
    try {
      await write(file);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Makes a file with that text where there is none. */
export async function makeOnce(path: string, text: string, scratch: string): Promise<void> {
  // Nothing is written where nothing is to be made: a full disk can still be looked at and emptied.
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  const partial = join(scratch, randomUUID());
  try {
    await writeFile(partial, text, { flag: "wx", mode: 0o600 });
    await link(partial, path);
  } catch (thrown) {
    if (isNoSpace(thrown)) throw noRoom(path, thrown);
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST")) throw thrown;
  } finally {
    await rm(partial, { force: true });
  }
}

/** Removes what lies in a folder for a day: what killed processes left, and what nothing leads to any more. */
export async function removeOld(folder: string, unused: (name: string) => boolean): Promise<void> {
  for (const name of (await readdir(folder)).filter(unused)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > OLD_MS) await rm(path, { recursive: true, force: true });
  }
}

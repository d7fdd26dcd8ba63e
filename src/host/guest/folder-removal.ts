import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, rename, rmdir, unlink } from "node:fs/promises";

/** A tree that is deeper than this was not made by a guest that has ended: somebody goes on nesting it. */
const MOST_ROUNDS = 10_000;

/**
 * Removes a guest's folder with all that is in it; nothing where there is none. Can be done again after a failure.
 *
 * The folder is QEMU's user's, and other guests' QEMUs run as the same one: while root empties it, one that its guest broke
 * out of could put a link in the place of a folder. So each folder is opened by its name without following a link, taken
 * from its owner, and emptied through its file descriptor; what is deeper is moved up first, so that however deep it is
 * nested, two are open at once.
 *
 * Throws what the file system says, also where somebody's open folder is filled faster than it is emptied.
 */
export async function removeFolder(path: string): Promise<void> {
  const top = await taken(Buffer.from(path));
  if (top === undefined) return;
  try {
    for (let round = 1; ; round += 1) {
      const names = await namesIn(top);
      if (names.length === 0) break;
      if (round > MOST_ROUNDS) throw new Error(`ENOTEMPTY: ${path} is nested deeper than it can be emptied`);
      for (const name of names) if (!(await isUnlinked(inside(top, name)))) await emptyInto(top, name);
    }
  } finally {
    await top.close();
  }
  await rmdir(path);
}

/** Removes a folder of `top`; the folders in it become folders of `top`. */
async function emptyInto(top: FileHandle, name: Buffer): Promise<void> {
  const folder = await taken(inside(top, name));
  if (folder === undefined) return;
  try {
    for (const each of await namesIn(folder)) {
      const path = inside(folder, each);
      if (!(await isUnlinked(path))) await rename(path, inside(top, Buffer.from(randomUUID())));
    }
  } finally {
    await folder.close();
  }
  await rmdir(inside(top, name));
}

/** A folder that from now on nobody but root can change; undefined where there is none. */
async function taken(path: Buffer): Promise<FileHandle | undefined> {
  let folder: FileHandle;
  try {
    folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (thrown) {
    if (isError(thrown, "ENOENT")) return undefined;
    throw thrown;
  }
  try {
    await folder.chown(0, 0);
    await folder.chmod(0o700);
    return folder;
  } catch (thrown) {
    await folder.close();
    throw thrown;
  }
}

/** Names are bytes: whoever made them need not have made text. */
async function namesIn({ fd }: FileHandle): Promise<readonly Buffer[]> {
  return readdir(`/proc/self/fd/${fd}`, { encoding: "buffer" });
}

/** A name in that very folder, whatever has become of the folder's own name. */
function inside({ fd }: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);
}

/** Removes whatever has that name; false where it is a folder. */
async function isUnlinked(path: Buffer): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (thrown) {
    if (isError(thrown, "ENOENT")) return true;
    if (isError(thrown, "EISDIR")) return false;
    throw thrown;
  }
}

function isError(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === code;
}

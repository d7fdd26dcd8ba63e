import { mkdir, open, readdir, rm, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { findQemuUser } from "../guest/process.ts";
import { placeHostDisk } from "./host-disk.ts";
import { runProgram } from "./run-program.ts";
import { making } from "./volumes.ts";

// The images of claims lie in `folder/UID/disk.img`, KubeVirt's name for the one file of a claim.
const IMAGE = "disk.img";

/** Where the image of a claim is. */
export function claimImagePath(folder: string, uid: string): string {
  return join(folder, uid, IMAGE);
}

/** True where the image of a claim is there. */
export async function isClaimImage(folder: string, uid: string): Promise<boolean> {
  const found = await stat(claimImagePath(folder, uid)).catch(() => undefined);
  return found?.isFile() === true;
}

/** The claims that have an image. */
export async function claimImages(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

/**
 * Makes the image of a claim, a sparse raw disk of QEMU's user, where there is none. What is there is left as it is, but
 * for one that an earlier call did not finish.
 *
 * Fails with PB5007 where so much is not free now; what is not written yet is not set aside.
 */
export async function makeClaimImage(folder: string, uid: string, bytes: bigint): Promise<void> {
  const path = claimImagePath(folder, uid);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(dirname(path), { bigint: true });
    const file = await open(path, "a", 0o600);
    try {
      const { size } = await file.stat({ bigint: true });
      if (size >= bytes) return;
      if (bavail * bsize < bytes) throw noRoom(`${folder} has ${bavail * bsize} bytes, and ${bytes} are asked for`);
      if (process.getuid?.() === 0) {
        const { uid: owner, gid } = findQemuUser();
        await file.chown(owner, gid);
      }
      // The last step: a file of that size is whole.
      await file.truncate(Number(bytes));
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (isNoSpace(thrown)) throw noRoom(folder, thrown);
    throw thrown;
  }
}

/** Removes the image of a claim; nothing where there is none. */
export async function removeClaimImage(folder: string, uid: string): Promise<void> {
  await rm(join(folder, uid), { recursive: true, force: true });
}

/** Puts the image of a claim into a guest's folder under `name`, to be read and written. Fails with PB5072. */
export async function placeClaim(image: string, name: string): Promise<void> {
  await placeHostDisk({ path: image, type: "Disk" }, name);
}

/**
 * Makes `overlayPath`, a qcow2 disk that starts as the claim's image and keeps its changes to itself. Fails with PB5007,
 * PB5072.
 */
export async function ephemeralDisk(image: string, overlayPath: string): Promise<void> {
  const beside = `${basename(overlayPath)}.base`;
  await placeClaim(image, join(dirname(overlayPath), beside));
  await making(overlayPath, () =>
    runProgram("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", beside, overlayPath]),
  );
}

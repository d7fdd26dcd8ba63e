import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** A disk of a few MiB mounted over a folder. */
export interface SmallDisk {
  /** Leaves not a byte. */
  readonly fill: () => Promise<void>;
  /** Makes room again. */
  readonly free: () => Promise<void>;
  /** Also while something still stands in it. */
  readonly unmount: () => Promise<void>;
}

/** Mounts an empty disk (tmpfs) over a folder, which is made where it is not there. */
export async function smallDisk(folder: string, bytes: number): Promise<SmallDisk> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await execute("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=700`, "patchbay-test", folder]);
  const filler = join(folder, ".fill");
  return {
    fill: async () => {
      await writeFile(filler, Buffer.alloc(bytes)).catch((thrown: unknown) => {
        if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ENOSPC")) throw thrown;
      });
    },
    free: () => rm(filler, { force: true }),
    unmount: async () => {
      await execute("umount", ["--lazy", folder]);
    },
  };
}

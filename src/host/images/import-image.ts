import { stat } from "node:fs/promises";
import type { Image, ImageStore } from "./store.ts";
import { diskFormat } from "./volumes.ts";

/** KubeVirt's folder for the one disk of a containerDisk image. */
const DISK = "/disk/disk.qcow2";

/**
 * Takes an image from an archive or folder, or makes one of a qcow2 disk, as a Dockerfile with `ADD disk.qcow2 /disk/` does.
 * Fails with PB5002, PB5003, PB5007.
 */
export async function importImage(store: ImageStore, name: string, path: string, signal?: AbortSignal): Promise<Image> {
  const isFile = (await stat(path).catch(() => undefined))?.isFile() === true;
  if (isFile && (await diskFormat(path, name, path)) === "qcow2") {
    return store.create(name, [{ path: DISK, source: path }], signal);
  }
  return store.importArchive(name, path, signal);
}

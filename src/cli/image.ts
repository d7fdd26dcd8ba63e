import { buildDebian, DEBIAN_IMAGE } from "../host/images/build-debian.ts";
import { buildGuest, GUEST_IMAGE } from "../host/images/build-guest.ts";
import { importImage } from "../host/images/import-image.ts";
import { pullImage } from "../host/images/pull.ts";
import { type Image, type ImageStore, openImageStore } from "../host/images/store.ts";
import { requireNeeds } from "../host/setup/check.ts";
import { interruptible } from "./interruptible.ts";
import { dataPaths } from "./paths.ts";

/** Options of every `patchbay image` command. */
export interface ImageOptions {
  readonly dataDir: string;
  readonly imageDir?: string;
  readonly output?: "text" | "json";
}

/** What is waited for and how far it came, on stderr. */
function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

function storeOf({ dataDir, imageDir }: ImageOptions): Promise<ImageStore> {
  return openImageStore(imageDir ?? dataPaths(dataDir).images, { onWait: tell });
}

function report({ output }: ImageOptions, image: Image): void {
  process.stdout.write(output === "json" ? `${JSON.stringify(image)}\n` : `${image.name} ${image.digest}\n`);
}

/** Builds the test guest. */
export async function imageBuildGuest(options: ImageOptions): Promise<number> {
  requireNeeds("image build-guest");
  const { cache } = dataPaths(options.dataDir);
  const store = await storeOf(options);
  await interruptible((signal) => buildGuest({ store, cacheDir: cache, onProgress: tell, signal }));
  const image = await store.resolve(GUEST_IMAGE);
  if (image !== undefined) report(options, image);
  return 0;
}

/** Builds the Debian guest. */
export async function imageBuildDebian(options: ImageOptions): Promise<number> {
  requireNeeds("image build-debian");
  const { cache } = dataPaths(options.dataDir);
  const store = await storeOf(options);
  await interruptible((signal) => buildDebian({ store, cacheDir: cache, onProgress: tell, signal }));
  const image = await store.resolve(DEBIAN_IMAGE);
  if (image !== undefined) report(options, image);
  return 0;
}

/** Brings an image from its registry. */
export async function imagePull(name: string, options: ImageOptions): Promise<number> {
  requireNeeds("image pull");
  const store = await storeOf(options);
  report(options, await interruptible((signal) => pullImage(store, name, { onProgress: tell, signal })));
  return 0;
}

/** Lists the store. */
export async function imageList(options: ImageOptions): Promise<number> {
  const list = await (await storeOf(options)).list();
  if (options.output === "json") process.stdout.write(`${JSON.stringify(list, undefined, 2)}\n`);
  else {
    const rows = [["IMAGE", "DIGEST", "SIZE"], ...list.map(row)];
    const width = (column: number): number => Math.max(...rows.map((cells) => cells[column]?.length ?? 0));
    for (const [name = "", digest = "", size = ""] of rows) {
      process.stdout.write(`${name.padEnd(width(0))}  ${digest.padEnd(width(1))}  ${size.padStart(width(2))}\n`);
    }
  }
  return 0;
}

function row({ name, digest, size }: Image): readonly string[] {
  return [name, digest.slice("sha256:".length, "sha256:".length + 12), humanSize(size)];
}

/** Bytes as people read them: `812 B`, `3.4 KiB`, `57.1 MiB`. */
export function humanSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1023.95 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Takes an image from an archive or folder, or makes one of a disk. */
export async function imageImport(name: string, path: string, options: ImageOptions): Promise<number> {
  const store = await storeOf(options);
  report(options, await interruptible((signal) => importImage(store, name, path, signal)));
  return 0;
}

/** Gives an image another name. */
export async function imageTag(name: string, other: string, options: ImageOptions): Promise<number> {
  report(options, await (await storeOf(options)).tag(name, other));
  return 0;
}

/** Removes a name. */
export async function imageRemove(name: string, options: ImageOptions): Promise<number> {
  report(options, await (await storeOf(options)).remove(name));
  return 0;
}

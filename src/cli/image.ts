import { buildGuest } from "../host/images/build-guest.ts";
import { openImageStore } from "../host/images/store.ts";
import { dataPaths } from "./paths.ts";

/** Options of every `patchbay image` command. */
export interface ImageOptions {
  readonly dataDir: string;
  readonly imageDir?: string;
  readonly output?: "text" | "json";
}

function folders({ dataDir, imageDir }: ImageOptions): { readonly images: string; readonly cache: string } {
  const paths = dataPaths(dataDir);
  return imageDir === undefined ? paths : { images: imageDir, cache: `${imageDir}/../cache` };
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Builds the test guest. */
export async function imageBuildGuest(options: ImageOptions): Promise<number> {
  const { images, cache } = folders(options);
  const digest = await buildGuest({ store: await openImageStore(images), cacheDir: cache, onProgress: tell });
  process.stdout.write(
    options.output === "json"
      ? `${JSON.stringify({ name: "patchbay/guest:latest", digest })}\n`
      : `patchbay/guest:latest ${digest}\n`,
  );
  return 0;
}

/** Lists the store. */
export async function imageList(options: ImageOptions): Promise<number> {
  const list = await (await openImageStore(folders(options).images)).list();
  if (options.output === "json") process.stdout.write(`${JSON.stringify(list, undefined, 2)}\n`);
  else {
    const width = Math.max(5, ...list.map(({ name }) => name.length));
    process.stdout.write(`${"IMAGE".padEnd(width)}  DIGEST        MIB\n`);
    for (const { name, digest, size } of list) {
      process.stdout.write(`${name.padEnd(width)}  ${digest.slice(7, 19)}  ${(size / 2 ** 20).toFixed(1)}\n`);
    }
  }
  return 0;
}

/** Takes an image from an archive or folder. */
export async function imageImport(name: string, path: string, options: ImageOptions): Promise<number> {
  const image = await (await openImageStore(folders(options).images)).importArchive(name, path);
  process.stdout.write(options.output === "json" ? `${JSON.stringify(image)}\n` : `${image.name} ${image.digest}\n`);
  return 0;
}

/** Gives an image another name. */
export async function imageTag(name: string, other: string, options: ImageOptions): Promise<number> {
  const image = await (await openImageStore(folders(options).images)).tag(name, other);
  process.stdout.write(options.output === "json" ? `${JSON.stringify(image)}\n` : `${image.name} ${image.digest}\n`);
  return 0;
}

/** Removes a name. */
export async function imageRemove(name: string, options: ImageOptions): Promise<number> {
  await (await openImageStore(folders(options).images)).remove(name);
  return 0;
}

import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault, isFault } from "../../model/fault.ts";
import { isNoSpace, noRoom } from "../full-disk.ts";
import { formatIndex, isIndexType, json, mediaTypes, member, parseManifest, REF_NAME } from "./oci.ts";
import { pullFault, silentRegistry } from "./pull-faults.ts";
import { digestOf, type ImageReference, keptName, parseReference, registryOf, taggedName } from "./reference.ts";
import { runProgram, watchProgram } from "./run-program.ts";
import type { Image, ImageStore } from "./store.ts";

/** How an image is pulled. */
export interface PullOptions {
  readonly onProgress: (line: string) => void;
  /** Ends it; its reason is thrown, and nothing is left behind. */
  readonly signal?: AbortSignal;
  /** How long the registry may send nothing. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 60_000;
const LOOK_MS = 500;
const TELL_MS = 5_000;
/** Guests are of this machine's kind. */
const PLATFORM = ["--override-os", "linux", "--override-arch", "amd64"];

/**
 * Brings an image from its registry into the store, with skopeo and so with its credentials, mirrors and policy
 * (containers-registries.conf(5), containers-policy.json(5)). Of a multi-platform image, that for linux/amd64.
 *
 * The image keeps the digest that it has in the registry. Registries on the loopback interface may speak plain HTTP.
 * Fails with PB5003, PB5005 (no skopeo), PB5007, PB5010 to PB5013; nothing is half-made then.
 */
export async function pullImage(store: ImageStore, name: string, options: PullOptions): Promise<Image> {
  const reference = parseReference(name);
  const kept = keptName(reference);
  options.onProgress(`pulling ${kept} from ${registryOf(reference)}`);
  try {
    const work = await mkdtemp(join(store.scratch, "pull-"));
    try {
      const fetched = join(work, "fetched");
      await fetchImage(reference, fetched, work, options);
      options.signal?.throwIfAborted();
      const layout = join(work, "layout");
      await makeLayout(reference, fetched, layout, options.signal);
      options.onProgress(`storing ${kept}`);
      return await store.importArchive(kept, layout, options.signal);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  } catch (thrown) {
    if (isNoSpace(thrown) || isFault(thrown, "PB5007")) throw noRoom(store.scratch, thrown);
    throw thrown;
  }
}

/** Copies the image into a folder of skopeo's: `manifest.json`, and every blob under its digest's hexadecimal digits. */
async function fetchImage(
  reference: ImageReference,
  folder: string,
  work: string,
  options: PullOptions,
): Promise<void> {
  const { onProgress, signal, patienceMs = PATIENCE_MS } = options;
  const source = `docker://${keptName(reference)}`;
  const args = ["--tmpdir", work, ...PLATFORM, "copy", ...tlsOptions(reference), source, `dir:${folder}`];
  const running = watchProgram("skopeo", args, { onLine: (line) => tell(line, onProgress), ...(signal && { signal }) });
  let [bytes, told, heard, toldAt] = [0, 0, performance.now(), performance.now()];
  let isSilent = false;
  const look = async (): Promise<void> => {
    const now = performance.now();
    const before = bytes;
    bytes = await sizeOf(folder);
    if (bytes !== before) heard = now;
    if (bytes !== told && now - toldAt >= TELL_MS) {
      onProgress(`${(bytes / 2 ** 20).toFixed(1)} MiB fetched`);
      [told, toldAt] = [bytes, now];
    }
    if (now - heard < patienceMs) return;
    isSilent = true;
    running.end();
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  try {
    await running.ended;
  } catch (thrown) {
    signal?.throwIfAborted();
    throw isSilent ? silentRegistry(reference, patienceMs) : pullFault(reference, thrown);
  } finally {
    clearInterval(timer);
  }
}

/** What skopeo says of its progress, in few words. */
function tell(line: string, onProgress: (line: string) => void): void {
  const layer = /^Copying blob sha256:([0-9a-f]{12})/.exec(line)?.[1];
  if (layer !== undefined) onProgress(`fetching layer ${layer}`);
}

/** Bytes of the files in a folder; 0 where there is none yet. */
async function sizeOf(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** As Docker does it: a registry of this machine may speak plain HTTP, or have a certificate of its own. */
function tlsOptions(reference: ImageReference): readonly string[] {
  const host = registryOf(reference).replace(/:\d+$/, "");
  return host === "localhost" || /^127\./.test(host) || host === "[::1]" ? ["--src-tls-verify=false"] : [];
}

/** Makes an OCI layout of what skopeo fetched. Nothing is copied, and no byte of a blob or of the manifest changes. */
async function makeLayout(
  reference: ImageReference,
  fetched: string,
  layout: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const blobs = join(layout, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const bytes = await readFile(join(fetched, "manifest.json"));
  const manifest = { ...describe(bytes), digest: digestOf(bytes), size: bytes.length };
  const { config, layers } = parseManifest(bytes.toString(), `the manifest of ${keptName(reference)}`);
  for (const name of new Set([config, ...layers].map(({ digest }) => digest.slice("sha256:".length)))) {
    await rename(join(fetched, name), join(blobs, name));
  }
  const put = (data: Uint8Array): Promise<void> => writeFile(join(blobs, digestOf(data).slice("sha256:".length)), data);
  await put(bytes);
  let top = manifest;
  if (reference.digest !== undefined && reference.digest !== manifest.digest) {
    // A multi-platform image's digest: its index goes into the layout as well, where the import checks both.
    const index = await fetchIndex(reference, signal);
    await put(index);
    top = { ...describe(index), digest: digestOf(index), size: index.length };
  }
  const entry = { ...top, annotations: { [REF_NAME]: taggedName(reference) } };
  await writeFile(join(layout, "index.json"), formatIndex([entry]));
  await writeFile(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

async function fetchIndex(reference: ImageReference, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const args = ["inspect", "--raw", ...tlsOptions(reference).map((option) => option.replace("--src-", "--"))];
  const options = { timeoutMs: PATIENCE_MS, ...(signal === undefined ? {} : { signal }) };
  const index = await runProgram("skopeo", [...args, `docker://${keptName(reference)}`], options).catch(
    (thrown: unknown) => {
      signal?.throwIfAborted();
      throw pullFault(reference, thrown);
    },
  );
  if (digestOf(index) === reference.digest && isIndexType(describe(index).mediaType)) return index;
  throw new Fault("PB5013", `The registry ${registryOf(reference)} gives ${keptName(reference)} another digest.`, {
    cure: "Pull the image by its tag, or by the digest that the registry shows for it.",
    place: keptName(reference),
  });
}

function describe(document: Uint8Array): { readonly mediaType: string } {
  const content = json(Buffer.from(document).toString(), "what the registry answered");
  const mediaType = member(content, "mediaType");
  if (typeof mediaType === "string") return { mediaType };
  return { mediaType: Array.isArray(member(content, "manifests")) ? mediaTypes.index : mediaTypes.manifest };
}

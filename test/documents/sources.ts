import { existsSync } from "node:fs";
import { mkdir, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { judgeManifests } from "../../src/cli/judged-manifests.ts";
import { isJsonObject, type JsonObject } from "../../src/model/json.ts";
import type { TestHost } from "../daemon.ts";
import type { OpenVSwitch } from "../openvswitch.ts";
import { pageBlocks, twinText } from "./pages.ts";

/** Permits every binding. */
export const PERMITTED = join(import.meta.dirname, "../../examples/all-bindings.yaml");

/** A manifest of our own, and the examples of the pages that it stands for. */
export interface Example {
  readonly twin: string;
  readonly pages: readonly string[];
}

/** A file with the untouched text of a page's example, or of our own manifest. */
export interface Source {
  /** Of the file, and so of the VMI that is made of a fragment in it. */
  readonly name: string;
  readonly file: string;
}

/** Writes the examples into files, those of the pages before our own: of pages that are not here, ours stand alone. */
export async function sourcesOf(folder: string, { twin, pages }: Example): Promise<readonly Source[]> {
  const blocks = pageBlocks();
  const texts = [
    ...(blocks === undefined ? [] : pages.map((page) => [`page-${page.replace(".", "-")}`, blocks.get(page)] as const)),
    [twin, twinText(twin)] as const,
  ];
  await mkdir(folder, { recursive: true });
  const sources: Source[] = [];
  for (const [name, text] of texts) {
    if (text === undefined) throw new Error(`the pages have no example ${name}`);
    const file = join(folder, `${name}.yaml`);
    await writeFile(file, text);
    sources.push({ name, file });
  }
  return sources;
}

/** The one object of a file, completed as `patchbay validate` and `patchbay run` complete it. */
export function completed({ file }: Source): JsonObject {
  const [document] = judgeManifests([file], PERMITTED).documents;
  if (document === undefined || !isJsonObject(document.value)) throw new Error(`${file} holds no object`);
  return document.value;
}

/** Applies the configuration that permits every binding. */
export async function permitEverything(host: TestHost): Promise<void> {
  await host.kubectlOk(["apply", "-f", PERMITTED]);
}

/** Where definitions look that name no socket, as those of the pages. */
const OPEN_VSWITCH = "/run/openvswitch";

/**
 * Shows a test's Open vSwitch to its host's processes where the machine's own would be; a machine's own goes on, and is
 * not touched.
 */
export async function useAsMachines(t: TestContext, host: TestHost, { socket }: OpenVSwitch): Promise<void> {
  const made = await mkdir(OPEN_VSWITCH, { recursive: true });
  if (made !== undefined) t.after(() => rmdir(OPEN_VSWITCH));
  await host.showAt(OPEN_VSWITCH, dirname(socket));
}

/** Leases that definitions without a `dataDir` leave on the machine go with the test. */
export function forgetLeases(t: TestContext, ...networks: readonly string[]): void {
  const folder = "/var/lib/cni/networks";
  const foreign = networks.filter((name) => existsSync(join(folder, name)));
  if (foreign.length > 0) throw new Error(`${folder} has leases of ${foreign.join(", ")} already`);
  t.after(async () => {
    for (const name of networks) await rm(join(folder, name), { recursive: true, force: true });
    for (const parent of [folder, dirname(folder)]) {
      if (existsSync(parent) && (await readdir(parent)).length === 0) await rmdir(parent);
    }
  });
}

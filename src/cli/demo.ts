import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildGuest, GUEST_IMAGE } from "../host/images/build-guest.ts";
import { openImageStore } from "../host/images/store.ts";
import { dumpNetns } from "../host/linux/dump.ts";
import { startThreads } from "../host/linux/netns.ts";
import { unlessAborted } from "../host/unless-aborted.ts";
import type { Pod } from "../model/api/pod.ts";
import { podResource } from "../model/api/references.ts";
import type { Stored } from "../model/api/stored.ts";
import { Fault } from "../model/fault.ts";
import { type Vmi, withApi } from "./api-access.ts";
import { apply } from "./apply.ts";
import { down } from "./down.ts";
import { interruptible } from "./interruptible.ts";
import { judgeManifests } from "./judged-manifests.ts";
import { dataPaths } from "./paths.ts";
import { becomesReady } from "./run.ts";
import { setup } from "./setup.ts";
import { requireRoot, startBehind, type UpOptions } from "./up.ts";

const EXAMPLE = `${import.meta.dirname}/../../examples/masquerade.yaml`;
/** Images outlive the demo, so that the next one starts at once. */
const IMAGES = "/var/cache/patchbay/images";
const READY_MS = 60_000;
const PAGE_MS = 60_000;
const POLL_MS = 100;

/** README's first command: from a bare machine to a page out of a guest, over IPv4 and IPv6, and back. */
export async function demo(options: UpOptions): Promise<number> {
  say("what the machine lacks");
  if ((await setup({})) !== 0) return 1;
  requireRoot();
  const imageDir = options.imageDir ?? IMAGES;
  const onProgress = (line: string): void => void process.stderr.write(`  ${line}\n`);
  const images = await openImageStore(imageDir, { onWait: onProgress });
  if ((await images.resolve(GUEST_IMAGE)) === undefined) {
    say(`the test guest, once, into ${imageDir}`);
    await interruptible((signal) =>
      buildGuest({ store: images, cacheDir: join(imageDir, "..", "packages"), onProgress, signal }),
    );
  }
  await interruptible((signal) => inOwnFolder({ ...options, imageDir, port: "0" }, signal));
  return 0;
}

/** Shows it in a folder of its own, of which nothing is left, whatever comes between. */
async function inOwnFolder(options: UpOptions, signal: AbortSignal): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "patchbay-demo-"));
  const began = performance.now();
  try {
    say(`a daemon in ${dataDir}`);
    // Not given up: a daemon that comes up later would find nobody who stops it.
    await startBehind(dataPaths(dataDir), { ...options, dataDir });
    signal.throwIfAborted();
    await unlessAborted(show(dataDir, began), signal);
  } finally {
    say("cleaning up");
    await down({ dataDir, vms: true });
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function show(dataDir: string, began: number): Promise<void> {
  const paths = dataPaths(dataDir);
  await withApi(paths, async (client) => {
    say("patchbay run -f examples/masquerade.yaml");
    const [document] = judgeManifests([EXAMPLE], undefined).documents;
    if (document === undefined) throw new Fault("PB1000", `${EXAMPLE} has no manifest.`, { place: EXAMPLE });
    const { namespace = "default", name } = (await apply(client, document)).metadata;
    const vmi = await becomesReady(client, { namespace, name }, READY_MS);
    say(`the guest runs after ${seconds(began)}; ${accelerationOf(vmi)}`);
    for (const address of vmi.status?.interfaces?.[0]?.ipAddresses ?? []) {
      const url = `http://${address.includes(":") ? `[${address}]` : address}/`;
      const page = await fetchPage(url);
      say(`GET ${url}  (after ${seconds(began)})`);
      process.stdout.write(`${indented(page)}\n`);
    }
    const [pod] = (
      await client.list<Stored<Pod>>(podResource, { namespace, labelSelector: `vm.kubevirt.io/name=${name}` })
    ).items;
    const netns = pod?.metadata.annotations?.["patchbay.io/netns"];
    if (netns === undefined) throw new Fault("PB6114", `The pod of ${namespace}/${name} has no namespace.`);
    await startThreads();
    say(`what was built, read back from the kernel (${netns})`);
    process.stdout.write(`${indented(builtIn(netns))}\n`);
  });
}

/** The page, as soon as the guest serves it. */
async function fetchPage(url: string): Promise<string> {
  const deadline = performance.now() + PAGE_MS;
  for (;;) {
    const page = await getOnce(url);
    if (page !== undefined) return page;
    if (performance.now() > deadline) {
      throw new Fault("PB6114", `${url} does not answer after ${PAGE_MS / 1000} s.`, {
        cure: "Look at the guest's console: patchbay console.",
      });
    }
    await sleep(POLL_MS);
  }
}

function getOnce(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const call = get(url, { timeout: 2_000, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve(response.statusCode === 200 ? body : undefined));
      response.on("error", () => resolve(undefined));
    });
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve(undefined));
  });
}

function builtIn(netns: string): string {
  const dump = dumpNetns(netns);
  const links = dump.links.map((link) => {
    const addresses = dump.addresses.filter((address) => address.link === link.name).map(({ cidr }) => cidr);
    return `${link.name}: ${link.kind || "physical"} mac ${link.mac} mtu ${link.mtu} ${addresses.join(" ")}`;
  });
  return [...links, ...Object.values(dump.tables).map((table) => table.replaceAll("\t", "  ").trim())].join("\n");
}

function accelerationOf(vmi: Vmi): string {
  const condition = vmi.status?.conditions?.find(({ type }) => type === "HardwareAccelerated");
  return condition?.status === "True" ? "on KVM" : `emulated: ${condition?.message ?? "no KVM"}`;
}

function say(line: string): void {
  process.stdout.write(`\n▶ ${line}\n`);
}

function indented(text: string): string {
  return text.trimEnd().replace(/^/gm, "    ");
}

function seconds(began: number): string {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`;
}

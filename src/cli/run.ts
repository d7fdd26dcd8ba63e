import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "../client/client.ts";
import { runStrategyOf } from "../control/vm-course.ts";
import { vmResource } from "../model/api/references.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachine } from "../model/api/vm.ts";
import { Fault } from "../model/fault.ts";
import { findingJson } from "../model/manifest/finding.ts";
import { shellWord } from "../model/shell-word.ts";
import { getVmi, type Vmi, withApi } from "./api-access.ts";
import { addressed, apply, isServed } from "./apply.ts";
import { livingDaemon } from "./daemon-process.ts";
import { isSound, judgeManifests, printFindings } from "./judged-manifests.ts";
import { type DataPaths, dataPaths } from "./paths.ts";
import { exportLine, startBehind, type UpOptions, wrongUsage } from "./up.ts";

/** Options of `patchbay run`. */
export interface RunOptions extends UpOptions {
  readonly filename: readonly string[];
  readonly timeout: string;
  readonly output?: "text" | "json";
}

/** How to reach a guest: an element of `patchbay run -o json`. */
interface Reach {
  readonly namespace: string;
  readonly name: string;
  readonly nodeName: string | null;
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly ipAddresses: readonly string[];
  }[];
  /** Ports that are let in; empty: every one. */
  readonly ports: readonly { readonly port: number; readonly protocol: string }[];
  readonly kubeconfig: string;
}

const POLL_MS = 100;

/** Brings a daemon up if none is, applies the files, waits for the guests, and says how to reach them. */
export async function run(options: RunOptions): Promise<number> {
  const paths = dataPaths(options.dataDir);
  const timeoutMs = Number(options.timeout) * 1000;
  if (!(timeoutMs > 0)) {
    process.stderr.write(`patchbay: --timeout ${options.timeout} is no time limit: give seconds, more than 0.\n`);
    return 2;
  }
  const wrong = wrongUsage(options);
  if (wrong !== undefined) {
    process.stderr.write(`patchbay: ${wrong}\n`);
    return 2;
  }
  // A daemon that runs has the configuration that holds, and what the files refer to.
  const isUp = livingDaemon(paths) !== undefined;
  const living = isUp ? await (await import("./living.ts")).readLiving(options.dataDir) : undefined;
  const judged = judgeManifests(options.filename, undefined, living);
  printFindings(judged, process.stderr);
  if (!isSound(judged)) {
    if (options.output === "json") {
      process.stdout.write(`${JSON.stringify({ findings: judged.findings.map(findingJson) }, undefined, 2)}\n`);
    }
    return 1;
  }
  // What is not served has been warned of (PB1009); what has no name is refused before anything is applied.
  const documents = judged.documents.filter(isServed);
  for (const document of documents) addressed(document);
  await ensureDaemon(paths, options);
  return withApi(paths, async (client) => {
    const reached: Reach[] = [];
    for (const document of documents) {
      const object = await apply(client, document);
      process.stderr.write(`applied ${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name}\n`);
      const { namespace = "default", name } = object.metadata;
      if (object.kind === "VirtualMachine") {
        const strategy = runStrategyOf((object as Stored<VirtualMachine>).spec);
        if (strategy === "Halted" || strategy === "Manual") {
          process.stderr.write(`${namespace}/${name} is not started: its run strategy is ${strategy}\n`);
          continue;
        }
        await isMade(client, { namespace, name }, timeoutMs);
      } else if (object.kind !== "VirtualMachineInstance") continue;
      const vmi = await becomesReady(client, { namespace, name }, timeoutMs);
      const reach = reachOf(vmi, paths);
      reached.push(reach);
      if (options.output !== "json") process.stdout.write(`${inWords(reach, paths)}\n`);
    }
    if (options.output === "json") process.stdout.write(`${JSON.stringify(reached, undefined, 2)}\n`);
    return 0;
  });
}

/** Starts a daemon behind where none runs, and tells so. */
export async function ensureDaemon(paths: DataPaths, options: UpOptions): Promise<void> {
  if (livingDaemon(paths) !== undefined) return;
  process.stderr.write("starting the daemon\n");
  await startBehind(paths, options);
}

/** Waits until a VM has its VMI; PB6114 where it cannot have one, or has none in time. */
async function isMade(
  client: KubeClient,
  ref: { readonly namespace: string; readonly name: string },
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { status } = await client.get<Stored<VirtualMachine>>(vmResource, ref);
    if (status?.created === true) return;
    const failure = status?.conditions?.find(
      (condition) => condition.type === "Failure" && condition.status === "True",
    );
    if (failure !== undefined || performance.now() > deadline) {
      const why = failure?.message ?? `it is ${status?.printableStatus ?? "not looked at yet"}`;
      throw new Fault("PB6114", `The VM ${ref.namespace}/${ref.name} does not start: ${why}`, {
        place: `${ref.namespace}/${ref.name}`,
        cure: `kubectl describe vm -n ${ref.namespace} ${ref.name} shows how it goes.`,
      });
    }
    await sleep(POLL_MS);
  }
}

/** Waits until a VMI is ready; PB6114 with what its conditions say where it cannot be, or is not in time. */
export async function becomesReady(
  client: KubeClient,
  ref: { readonly namespace: string; readonly name: string },
  timeoutMs: number,
): Promise<Vmi> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const vmi = await getVmi(client, ref);
    const conditions = vmi.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === "Ready" && status === "True")) return vmi;
    const trouble = conditions.find(({ type, status }) => type === "Synchronized" && status === "False");
    const late = performance.now() > deadline;
    if (trouble !== undefined || late) {
      const why =
        trouble === undefined ? `phase ${vmi.status?.phase ?? "none"}` : `${trouble.reason}: ${trouble.message}`;
      throw new Fault(
        "PB6114",
        `The VM ${ref.namespace}/${ref.name} ${late ? `is not ready after ${timeoutMs / 1000} s` : "cannot start"}: ${why}`,
        {
          place: `${ref.namespace}/${ref.name}`,
          cure: `It is tried again; kubectl describe vmi -n ${ref.namespace} ${ref.name} shows how it goes.`,
        },
      );
    }
    await sleep(POLL_MS);
  }
}

function reachOf(vmi: Vmi, paths: DataPaths): Reach {
  const { namespace, name } = vmi.metadata;
  return {
    namespace,
    name,
    nodeName: vmi.status?.nodeName ?? null,
    interfaces: (vmi.status?.interfaces ?? []).map((nic) => ({
      name: nic.name ?? "",
      mac: nic.mac ?? "",
      ipAddresses: nic.ipAddresses ?? [],
    })),
    ports: (vmi.spec.domain.devices.interfaces ?? [])
      .flatMap((iface) => iface.ports ?? [])
      .map(({ port, protocol = "TCP" }) => ({ port, protocol })),
    kubeconfig: paths.kubeconfig,
  };
}

function inWords({ namespace, name, nodeName, interfaces, ports }: Reach, paths: DataPaths): string {
  const listed = ports.map(({ port, protocol }) => `${port}/${protocol}`).join(", ") || "every port";
  return [
    `${namespace}/${name} runs on ${nodeName ?? "this node"}; let in: ${listed}`,
    ...interfaces.map((nic) => `  ${nic.name}: ${nic.ipAddresses.join(", ") || "no address"} (${nic.mac})`),
    `  console: patchbay console ${namespace}/${name} --data-dir ${shellWord(paths.root)}`,
    `  ${exportLine(paths)}`,
  ].join("\n");
}

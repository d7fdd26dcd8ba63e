import { setTimeout as sleep } from "node:timers/promises";
import type { KubeClient } from "../client/client.ts";
import { Fault } from "../model/fault.ts";
import { getVmi, type Vmi, withApi } from "./api-access.ts";
import { apply } from "./apply.ts";
import { livingDaemon } from "./daemon-process.ts";
import { isSound, judgeManifests, printFindings } from "./judged-manifests.ts";
import { type DataPaths, dataPaths } from "./paths.ts";
import { exportLine, startBehind, type UpOptions } from "./up.ts";

/** Options of `patchbay run`. */
export interface RunOptions extends UpOptions {
  readonly filename: readonly string[];
  readonly timeout: string;
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
  const judged = judgeManifests(options.filename, undefined);
  printFindings(judged, process.stderr);
  if (!isSound(judged)) return 1;
  await ensureDaemon(paths, options);
  return withApi(paths, async (client) => {
    for (const document of judged.documents) {
      const object = await apply(client, document);
      process.stderr.write(`applied ${object.kind} ${object.metadata.namespace ?? ""}/${object.metadata.name}\n`);
      if (object.kind !== "VirtualMachineInstance") continue;
      const { namespace = "default", name } = object.metadata;
      const vmi = await becomesReady(client, { namespace, name }, timeoutMs);
      process.stdout.write(`${howToReach(vmi, paths)}\n`);
    }
    return 0;
  });
}

/** Starts a daemon behind where none runs, and tells so. */
export async function ensureDaemon(paths: DataPaths, options: UpOptions): Promise<void> {
  if (livingDaemon(paths) !== undefined) return;
  process.stderr.write("starting the daemon\n");
  await startBehind(paths, options);
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

function howToReach(vmi: Vmi, paths: DataPaths): string {
  const { namespace, name } = vmi.metadata;
  const interfaces = (vmi.status?.interfaces ?? []).map(
    ({ name: nic, mac, ipAddresses = [] }) => `  ${nic}: ${ipAddresses.join(", ") || "no address"} (${mac})`,
  );
  const ports = (vmi.spec.domain.devices.interfaces ?? []).flatMap((iface) => iface.ports ?? []);
  const listed =
    ports.length === 0 ? "every port" : ports.map(({ port, protocol = "TCP" }) => `${port}/${protocol}`).join(", ");
  return [
    `${namespace}/${name} runs on ${vmi.status?.nodeName ?? "this node"}; let in: ${listed}`,
    ...interfaces,
    `  console: patchbay console ${namespace}/${name} --data-dir ${paths.root}`,
    `  ${exportLine(paths)}`,
  ].join("\n");
}

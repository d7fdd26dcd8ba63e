import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import type { KubeClient, ResourceRef } from "../client/client.ts";
import { removeDefaultNetwork } from "../host/cni/default-network.ts";
import { goneWithin, startTimeOf } from "../host/guest/process.ts";
import { vmiResource, vmResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import { Fault } from "../model/fault.ts";
import { withApi } from "./api-access.ts";
import { startDaemon } from "./daemon.ts";
import { claimDataFolder, livingDaemon } from "./daemon-process.ts";
import { lastSettings } from "./daemon-settings.ts";
import { type DataPaths, dataPaths } from "./paths.ts";

/** Options of `patchbay down`. */
export interface DownOptions {
  readonly dataDir: string;
  readonly vms?: boolean;
}

type StoredObject = Stored<KubeObject>;

const STOP_MS = 30_000;
const DELETE_MS = 120_000;
const POLL_MS = 50;

/** Stops the daemon; with `--vms` the VMs before it, so that nothing is left on the machine but the data folder. */
export async function down({ dataDir, vms }: DownOptions): Promise<number> {
  const paths = dataPaths(dataDir);
  const living = livingDaemon(paths);
  if (vms === true) await (living === undefined ? withoutDaemon(paths) : withApi(paths, deleteAll));
  const daemon = livingDaemon(paths);
  if (daemon !== undefined) {
    const startTime = startTimeOf(daemon);
    process.kill(daemon, "SIGTERM");
    // It lets go of the folder a moment before it ends.
    if (startTime !== undefined && !(await goneWithin({ pid: daemon, startTime }, STOP_MS))) {
      throw new Fault("PB6106", `The daemon (process ${daemon}) does not stop.`, {
        cure: `kill -9 ${daemon}`,
      });
    }
  }
  if (vms === true && existsSync(paths.root)) await removeDefaultNetwork(paths.root, paths.cni);
  process.stderr.write(daemon === undefined && vms !== true ? `patchbay: no daemon runs on ${paths.root}\n` : "");
  return 0;
}

/** What a daemon that is gone has left can only be undone by one: it is started for that. */
async function withoutDaemon(paths: DataPaths): Promise<void> {
  const records = existsSync(paths.pods) ? readdirSync(paths.pods) : [];
  if (!existsSync(paths.store) && records.length === 0) return;
  const folder = await claimDataFolder(paths);
  try {
    const daemon = await startDaemon({ paths, port: 0, log: pino({ level: "silent" }), ...lastSettings(paths) });
    try {
      await withApi(paths, deleteAll);
    } finally {
      await daemon.close();
    }
  } finally {
    folder.release();
  }
}

/** Deletes every VM, which else would make its VMI again, then every VMI, and waits until their pods are given back. */
async function deleteAll(client: KubeClient): Promise<void> {
  await deleteEvery(client, vmResource);
  await deleteEvery(client, vmiResource);
}

async function deleteEvery(client: KubeClient, resource: ResourceRef): Promise<void> {
  const { items } = await client.list<StoredObject>(resource);
  for (const { metadata } of items) {
    try {
      await client.delete(resource, metadata, { uid: metadata.uid });
    } catch (thrown) {
      if (!isApiError(thrown, "NotFound")) throw thrown;
    }
  }
  const deadline = performance.now() + DELETE_MS;
  for (;;) {
    const left = (await client.list<StoredObject>(resource)).items.filter(({ metadata }) =>
      items.some((deleted) => deleted.metadata.uid === metadata.uid),
    );
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      const names = left.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(", ");
      throw new Fault("PB6106", `These VMs are not gone after ${DELETE_MS / 1000} s: ${names}.`, {
        cure: "Look at the daemon's log; kubectl describe says what holds them.",
      });
    }
    await sleep(POLL_MS);
  }
}

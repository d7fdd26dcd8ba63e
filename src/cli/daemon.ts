import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import type { Logger } from "pino";
import { startApiServer } from "../apiserver/server.ts";
import { makeKubeClient } from "../client/client.ts";
import { makeEventRecorder } from "../client/events.ts";
import { loadKubeconfig } from "../client/kubeconfig.ts";
import { makeAdmission } from "../control/admission.ts";
import { startConfigurationWatch } from "../control/configuration.ts";
import { startVmiController } from "../control/vmi-controller.ts";
import { defaultConfDir, ensureDefaultNetwork } from "../host/cni/default-network.ts";
import { DEFAULT_BIN_DIRS } from "../host/cni/plugins.ts";
import { probeAccelerator } from "../host/guest/accelerator.ts";
import { qemuFacts } from "../host/guest/qemu-facts.ts";
import { localRunner } from "../host/guest/runner.ts";
import { openImageStore } from "../host/images/store.ts";
import { startThreads } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import { definitions } from "../model/api/kinds.ts";
import { isWarning } from "../model/serve/note.ts";
import { startAgent } from "../node/agent.ts";
import { openPodRecords } from "../node/records.ts";
import { registerNode } from "../node/registration.ts";
import { makeReporter } from "../node/report.ts";
import { standalonePods } from "../node/standalone-pods.ts";
import type { DataPaths } from "./paths.ts";

export interface DaemonOptions {
  readonly paths: DataPaths;
  readonly port: number;
  readonly nodeName?: string;
  /** Absent: `images` below the data folder. */
  readonly imageDir?: string;
  /** Absent: the embedded network's folder below the data folder. */
  readonly cniConfDir?: string;
  readonly cniBinDir?: string;
  /** What one CNI plugin may take. */
  readonly cniTimeoutMs?: number;
  readonly log: Logger;
}

/** A daemon that serves. */
export interface Daemon {
  readonly url: string;
  /** Stops serving. Guests and their networks go on. */
  close(): Promise<void>;
}

const HOST_NETNS = "/proc/self/ns/net";

/** The one process of a machine: API, controllers and node. Ready when it returns. */
export async function startDaemon({ paths, port, log, ...options }: DaemonOptions): Promise<Daemon> {
  // Before the first namespace is entered: threads stay in the namespace in which they begin.
  await startThreads();
  for (const folder of [paths.guests, paths.logs, paths.cache]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const [images, qemu] = [await openImageStore(options.imageDir ?? paths.images), await qemuFacts()];
  const accelerator = await probeAccelerator(paths.root, await probeKernel(images));
  log.info(accelerator, accelerator.accel === "kvm" ? "guests run on KVM" : "guests are emulated (TCG)");

  if (options.cniConfDir === undefined)
    ensureDefaultNetwork({
      dataDir: paths.root,
      hostRoutes: readLinks(HOST_NETNS).routes.map(({ destination }) => destination),
    });
  const binDirs = options.cniBinDir === undefined ? DEFAULT_BIN_DIRS : options.cniBinDir.split(":");
  const configuration = { current: {} as unknown };
  const server = await startApiServer({
    dataDir: paths.root,
    port,
    definitions,
    admission: makeAdmission(() => configuration.current),
    log: log.child({ part: "api" }),
  });
  const client = makeKubeClient(loadKubeconfig(paths.kubeconfig));
  const nodeName = options.nodeName ?? hostname().toLowerCase();
  const events = makeEventRecorder(client, "patchbay", log);
  const accelReason = accelerator.reason ?? "";
  const agent = startAgent({
    client,
    nodeName,
    parts: {
      guestsDir: paths.guests,
      logsDir: paths.logs,
      records: openPodRecords(paths.pods),
      pods: standalonePods({
        confDir: options.cniConfDir ?? defaultConfDir(paths.root),
        binDirs,
        cacheDir: paths.cni,
        ...(options.cniTimeoutMs === undefined ? {} : { pluginTimeLimitMs: options.cniTimeoutMs }),
      }),
      runner: localRunner(),
      images,
      accel: accelerator.accel,
      qemu,
      served: (event) =>
        isWarning(event) ? log.warn(event, "a guest's request") : log.debug(event, "a guest's request"),
    },
    report: makeReporter(client, events, { nodeName, accel: accelerator.accel, accelReason }),
    log: log.child({ part: "node" }),
  });
  await agent.adopted;
  const settings = startConfigurationWatch(client, (current) => {
    configuration.current = current;
  });
  await registerNode(client, nodeName, accelerator.accel);
  const controller = startVmiController({ client, events, log: log.child({ part: "control" }) });
  log.info({ url: server.url, nodeName }, "ready");
  return {
    url: server.url,
    async close() {
      settings.close();
      await controller.close();
      await agent.close();
      await events.flush();
      client.close();
      await server.close();
    },
  };
}

/** The test guest's kernel, where the store has it: what KVM is tried with. */
async function probeKernel(images: Awaited<ReturnType<typeof openImageStore>>): Promise<string | undefined> {
  const name = "patchbay/guest:latest";
  return (await images.resolve(name)) === undefined ? undefined : images.extract(name, "/boot/vmlinuz");
}

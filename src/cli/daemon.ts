import { mkdirSync } from "node:fs";
import type { Logger } from "pino";
import { Registry } from "prom-client";
import { startApiServer } from "../apiserver/server.ts";
import { makeKubeClient } from "../client/client.ts";
import { makeEventRecorder } from "../client/events.ts";
import { makeAdmission } from "../control/admission.ts";
import { makeConfiguration } from "../control/configuration.ts";
import { startKubeVirtController } from "../control/kubevirt-controller.ts";
import { withMigrations } from "../control/migration-admission.ts";
import { startSriovNetworkController } from "../control/sriov-network-controller.ts";
import { makeSurroundings } from "../control/surroundings.ts";
import { startVmController } from "../control/vm-controller.ts";
import { startVmiController } from "../control/vmi-controller.ts";
import { withWholePath } from "../control/whole-path-admission.ts";
import { defaultConfDir, ensureDefaultNetwork, removeDefaultNetwork } from "../host/cni/default-network.ts";
import { stopDhcpDaemon } from "../host/cni/dhcp-daemon.ts";
import { DEFAULT_BIN_DIRS } from "../host/cni/plugins.ts";
import { probeAccelerator } from "../host/guest/accelerator.ts";
import { qemuFacts } from "../host/guest/qemu-facts.ts";
import { localRunner } from "../host/guest/runner.ts";
import { openImageStore } from "../host/images/store.ts";
import { OWN_NETNS, startThreads } from "../host/linux/netns.ts";
import { readLinks } from "../host/linux/pod-facts.ts";
import { servedDefinitions } from "../model/api/kinds.ts";
import { featureGatesOf } from "../model/rules/gates.ts";
import { isWarning } from "../model/serve/note.ts";
import { startAgent } from "../node/agent.ts";
import { keepClaims } from "../node/claim-keeper.ts";
import { definitionsOf } from "../node/definitions.ts";
import { makeDeviceResources } from "../node/device-resources.ts";
import { makeMacvtapDevices } from "../node/macvtap-devices.ts";
import { openPodRecords } from "../node/records.ts";
import { keepNode } from "../node/registration.ts";
import { makeReporter } from "../node/report.ts";
import { keepSriov } from "../node/sriov-keeper.ts";
import { standalonePods } from "../node/standalone-pods.ts";
import { clusterObjects } from "../node/volume-objects.ts";
import { makeDaemonMetrics } from "./daemon-metrics.ts";
import { keepSettings, nodeNameFor } from "./daemon-settings.ts";
import { makeHostWarnings } from "./host-warnings.ts";
import { packageVersion } from "./package-files.ts";
import type { DataPaths } from "./paths.ts";
import { podSubresources } from "./pod-subresources.ts";
import { probeKernel } from "./probe-kernel.ts";
import { kubevirtSubresources, kubevirtVersion } from "./subresources.ts";

/** Where the pages put the objects of KubeVirt and of the SR-IOV operator: their installation makes these on a cluster. */
const OPERATORS_NAMESPACES = ["kubevirt", "sriov-network-operator"];

export interface DaemonOptions {
  readonly paths: DataPaths;
  readonly port: number;
  /** Where the API listens; absent: loopback. */
  readonly address?: string;
  /** Absent: the one that the data folder has, else the machine's. */
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

/** The one process of a machine: API, controllers and node. Ready when it returns; when it throws, nothing of it runs. */
export async function startDaemon({ paths, port, log, ...options }: DaemonOptions): Promise<Daemon> {
  const running: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const end of running.splice(0).reverse()) await end();
  };
  try {
    return { url: await start(), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }

  async function start(): Promise<string> {
    // Before the first namespace is entered: threads stay in the namespace in which they begin.
    await startThreads();
    for (const folder of [paths.guests, paths.logs, paths.cache]) mkdirSync(folder, { recursive: true, mode: 0o700 });
    const records = openPodRecords(paths.pods);
    const nodeName = nodeNameFor(paths, options.nodeName, records.all().length);
    const [images, qemu] = [await openImageStore(options.imageDir ?? paths.images), await qemuFacts()];
    const kernel = await probeKernel(images, (error) => log.warn({ error }, "there is no kernel to try KVM with"));
    const accelerator = await probeAccelerator(paths.root, kernel);
    log.info(accelerator, accelerator.accel === "kvm" ? "guests run on KVM" : "guests are emulated (TCG)");
    if (options.cniConfDir === undefined) {
      ensureDefaultNetwork({ dataDir: paths.root, hostRoutes: hostRoutes() });
      // A daemon that was killed between a last pod and the bridge's end leaves the bridge.
      await removeDefaultNetwork(paths.root, paths.cni);
    }

    const confDir = options.cniConfDir ?? defaultConfDir(paths.root);
    const binDirs = options.cniBinDir === undefined ? DEFAULT_BIN_DIRS : options.cniBinDir.split(":");
    const configuration = makeConfiguration(log.child({ part: "control" }));
    running.push(() => configuration.close());
    const surroundings = makeSurroundings(log.child({ part: "control" }));
    running.push(() => surroundings.close());
    running.push(() => stopDhcpDaemon(paths.cni));
    const registry = new Registry();
    const metrics = makeDaemonMetrics(registry);
    let [adopted, settled] = [false, false];
    const server = await startApiServer({
      dataDir: paths.root,
      port,
      ...(options.address === undefined ? {} : { address: options.address }),
      definitions: servedDefinitions,
      namespaces: OPERATORS_NAMESPACES,
      admission: withMigrations(
        withWholePath(
          configuration.admission(makeAdmission(() => configuration.current())),
          surroundings,
          () => configuration.current(),
          makeHostWarnings({
            images,
            confDir,
            binDirs,
            pools: () => devices.pools(),
            log: log.child({ part: "control" }),
          }),
        ),
        () => client,
      ),
      subresources: [
        ...kubevirtSubresources({
          client: () => client,
          guestsDir: paths.guests,
          agentOf: (podUid) => records.get(podUid)?.agent,
        }),
        ...podSubresources({ client: () => client, logsDir: paths.logs, records }),
      ],
      documents: [kubevirtVersion],
      checks: [
        {
          name: "node-adopted",
          check: () => (adopted ? undefined : "the guests of an earlier daemon are being taken over"),
        },
        { name: "settings-known", check: () => (settled ? undefined : "the cluster's settings are not read yet") },
      ],
      registry,
      log: log.child({ part: "api" }),
    });
    running.push(() => server.close());
    const { imageDir, cniConfDir, cniBinDir } = options;
    keepSettings(paths, {
      nodeName,
      ...(imageDir === undefined ? {} : { imageDir }),
      ...(cniConfDir === undefined ? {} : { cniConfDir }),
      ...(cniBinDir === undefined ? {} : { cniBinDir }),
    });
    const { url, caPem, ownToken } = server;
    const client = makeKubeClient({ server: url, caPem, token: ownToken, namespace: "default" });
    running.push(() => client.close());
    const events = makeEventRecorder(client, "patchbay", log);
    running.push(() => events.flush());
    const macvtaps = makeMacvtapDevices({ binDirs, log: log.child({ part: "node" }) });
    running.push(() => macvtaps.close());
    let tellDevices = (): void => {};
    const sriov = keepSriov({
      client,
      events,
      nodeName,
      records,
      stateFile: paths.sriov,
      log: log.child({ part: "node" }),
      changed: () => tellDevices(),
    });
    running.push(() => sriov.close());
    const devices = makeDeviceResources(records, [macvtaps, sriov.source]);
    let tellClaims = (): void => {};
    const claims = keepClaims({
      client,
      events,
      records,
      folder: paths.claims,
      log: log.child({ part: "node" }),
      changed: () => tellClaims(),
    });
    running.push(() => claims.close());
    const agent = startAgent({
      client,
      nodeName,
      parts: {
        guestsDir: paths.guests,
        logsDir: paths.logs,
        records,
        pods: standalonePods({
          confDir,
          binDirs,
          cacheDir: paths.cni,
          definitions: () => definitionsOf(client),
          devices,
          ...(options.cniTimeoutMs === undefined ? {} : { pluginTimeLimitMs: options.cniTimeoutMs }),
        }),
        runner: localRunner(),
        images,
        objects: clusterObjects(client),
        claims,
        isGateOpen: async (gate) => featureGatesOf(await configuration.current()).includes(gate),
        accel: accelerator.accel,
        qemu,
        served: (event) => {
          metrics.served(event);
          if (isWarning(event)) log.warn(event, "a guest's request");
          else log.debug(event, "a guest's request");
        },
        applied: metrics.applied,
      },
      report: makeReporter(client, events, {
        nodeName,
        accel: accelerator.accel,
        accelReason: accelerator.reason ?? "",
      }),
      log: log.child({ part: "node" }),
      meter: metrics.queue("node"),
    });
    running.push(() => agent.close());
    tellClaims = agent.retry;
    await agent.adopted;
    adopted = true;
    await Promise.all([configuration.follow(client), surroundings.follow(client)]);
    settled = true;
    const { accel } = accelerator;
    const machine = { nodeName, accel, version: packageVersion(), qemu: qemu.version, pools: devices.pools };
    const node = await keepNode(client, machine, log.child({ part: "node" }));
    tellDevices = () => {
      node.refresh();
      agent.retry();
    };
    running.push(() => node.close());
    await macvtaps.follow(client, events, () => {
      node.refresh();
      agent.retry();
    });
    node.refresh();
    const control = { client, events, log: log.child({ part: "control" }) };
    const vmis = startVmiController({
      ...control,
      configuration: () => configuration.current(),
      meter: metrics.queue("virtualmachineinstance"),
    });
    metrics.guests(vmis.phases);
    const vms = startVmController({ ...control, meter: metrics.queue("virtualmachine") });
    const controllers = [vmis, vms, startKubeVirtController(control), startSriovNetworkController(control)];
    running.push(async () => void (await Promise.all(controllers.map((controller) => controller.close()))));
    log.info({ url, nodeName }, "ready");
    return url;
  }
}

/** Where this machine's own routes lead: the embedded network keeps out of there. */
function hostRoutes(): readonly string[] {
  return readLinks(OWN_NETNS).routes.map(({ destination }) => destination);
}

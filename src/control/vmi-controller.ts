import type { Logger } from "pino";
import { changeStatus } from "../client/change-status.ts";
import type { KubeClient } from "../client/client.ts";
import type { EventRecorder } from "../client/events.ts";
import { type Cache, inform } from "../client/informer.ts";
import { makeReconcileQueue, type QueueState } from "../client/reconcile-queue.ts";
import type { NetworkAttachmentDefinition } from "../model/api/attachment.ts";
import type { Pod } from "../model/api/pod.ts";
import { definitionResource, nodeResource, podResource, vmiResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { keyOf, type Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import type { VmiStatus } from "../model/api/vmi-status.ts";
import { unregisteredSlirp } from "../model/bindings/built-in-plugins.ts";
import { RESOURCE_NAME } from "../model/networks/attachment-definitions.ts";
import { qualifiedName } from "../model/networks/multus.ts";
import { nicsOf, type Plugins } from "../model/pods/launcher-pod.ts";
import type { ClusterNode } from "../model/pods/node-fit.ts";
import { withClaims } from "../model/pods/pod-resources.ts";
import { settingsOf } from "../model/rules/settings.ts";
import {
  decideVmi,
  inTheWay,
  notMade,
  type PodFailure,
  podRefused,
  VMI_FINALIZER,
  type VmiAction,
} from "./vmi-decision.ts";

export interface ControllerOptions {
  readonly client: KubeClient;
  readonly events: EventRecorder;
  readonly log: Logger;
  /** `spec.configuration` of the KubeVirt resource as it is now; absent: nobody gives one. */
  readonly configuration?: () => Promise<unknown>;
  /** Gets the state of the controller's queue, to look at. */
  readonly meter?: (state: QueueState) => void;
}

export interface Controller {
  close(): Promise<void>;
}

export interface VmiController extends Controller {
  /** How many VMIs there are by `status.phase`; without one they count as Pending. */
  phases(): ReadonlyMap<string, number>;
}

type Vmi = Stored<VirtualMachineInstance>;
type LauncherPod = Stored<Pod>;

/** A pod that was refused is tried again so often: what is in its way may be gone. */
const REFUSED_MS = 10_000;

/** Gives every VMI a pod on a node, and takes the pods of deleted ones away. */
export function startVmiController({ client, events, log, configuration, meter }: ControllerOptions): VmiController {
  const closing = new AbortController();
  const queue = makeReconcileQueue(reconcile, {
    failed: (key, error, waitMs) => log.warn({ vmi: key, error, waitMs }, "a VMI is not as it should be"),
    ...(meter === undefined ? {} : { meter }),
  });
  const ofOwner = (pod: LauncherPod): void => {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
    if (owner !== undefined) queue.add(`${pod.metadata.namespace}/${owner.name}`);
  };
  const enqueue = (vmi: Vmi): void => queue.add(keyOf(vmi));
  const everything = (): void => {
    for (const vmi of vmis.list()) enqueue(vmi);
  };
  const failed = (error: unknown, waitMs: number): void => log.warn({ error, waitMs }, "the API cannot be watched");

  const pods: Cache<LauncherPod> = inform<LauncherPod>(
    client,
    podResource,
    {},
    { add: ofOwner, update: ofOwner, delete: ofOwner, synced: () => everything(), failed },
    closing.signal,
  );
  const nodes: Cache<ClusterNode & KubeObject> = inform<ClusterNode & KubeObject>(
    client,
    nodeResource,
    {},
    { add: everything, update: everything, synced: () => everything(), failed },
    closing.signal,
  );
  const vmis: Cache<Vmi> = inform<Vmi>(
    client,
    vmiResource,
    {},
    { add: enqueue, update: enqueue, failed },
    closing.signal,
  );

  async function reconcile(key: string): Promise<void> {
    const [namespace, name] = key.split("/");
    const vmi = vmis.get(name ?? "", namespace);
    // Without the whole picture a second pod could be made.
    if (vmi === undefined || !pods.synced || !nodes.synced) return;
    const own = pods
      .list()
      .filter(
        ({ metadata }) =>
          metadata.namespace === namespace && metadata.ownerReferences?.some(({ uid }) => uid === vmi.metadata.uid),
      );
    const { plugins } = settingsOf((await configuration?.()) ?? {});
    for (const action of decideVmi({ vmi, pods: own, nodes: nodes.list(), plugins })) {
      if (action.do === "pod.create") {
        // What follows tells of the new pod.
        if (!(await create(key, vmi, action.pod as LauncherPod, plugins))) return;
      } else await carryOut(vmi, action);
    }
  }

  /** False where there is no new pod: an earlier run made it, or it is refused. */
  async function create(key: string, vmi: Vmi, pod: LauncherPod, plugins: Plugins): Promise<boolean> {
    try {
      await client.create(podResource, withClaims(pod, await claimedResources(vmi, plugins)));
      const unregistered = unregisteredSlirp(vmi.spec, plugins);
      if (unregistered !== undefined) events.event(vmi, "Warning", "UnregisteredNetworkBindingPlugin", unregistered);
      return true;
    } catch (thrown) {
      if (isApiError(thrown, "AlreadyExists")) {
        const there = await client.get<LauncherPod>(podResource, pod.metadata);
        // The cache has not heard yet of the pod that an earlier run made.
        if (there.metadata.ownerReferences?.some(({ uid }) => uid === vmi.metadata.uid) === true) return false;
        await refused(key, vmi, inTheWay(pod.metadata.name));
      } else if (isApiError(thrown, "Invalid") || isApiError(thrown, "Forbidden")) {
        await refused(key, vmi, notMade(thrown.message));
      } else throw thrown;
      return false;
    }
  }

  /**
   * What the definitions of a VMI's networks say that each claims a device of, empty where one claims none; the node tells
   * of one that is missing.
   */
  async function claimedResources(vmi: Vmi, plugins: Plugins): Promise<ReadonlyMap<string, string>> {
    const claimed = nicsOf(vmi, plugins).map(async (nic): Promise<readonly (readonly [string, string])[]> => {
      if (nic.network.kind !== "multus") return [];
      const [namespace = "", name = ""] = qualifiedName(nic.network.networkName, vmi.metadata.namespace).split("/");
      try {
        const place = { namespace, name };
        const { metadata } = await client.get<Stored<NetworkAttachmentDefinition>>(definitionResource, place);
        return [[nic.name, metadata.annotations?.[RESOURCE_NAME] ?? ""]];
      } catch (thrown) {
        if (isApiError(thrown, "NotFound")) return [[nic.name, ""]];
        throw thrown;
      }
    });
    return new Map((await Promise.all(claimed)).flat());
  }

  /** Says why there is no pod, and tries again later: it may be made possible meanwhile. */
  async function refused(key: string, vmi: Vmi, failure: PodFailure): Promise<void> {
    const told = vmi.status?.conditions?.some(({ message }) => message === failure.message);
    await carryOut(vmi, { do: "status", change: podRefused(failure) });
    if (told !== true) await carryOut(vmi, { do: "event", type: "Warning", ...failure });
    queue.after(key, REFUSED_MS);
  }

  async function carryOut(vmi: Vmi, action: Exclude<VmiAction, { readonly do: "pod.create" }>): Promise<void> {
    switch (action.do) {
      case "pod.delete":
        return unless(
          "NotFound",
          client.delete(podResource, { namespace: vmi.metadata.namespace, name: action.name }, { uid: action.uid }),
        );
      case "status":
        await changeStatus<VmiStatus, Vmi>(client, vmiResource, vmi, action.change);
        return;
      case "event":
        return events.event(vmi, action.type, action.reason, action.message);
      case "finalizer.remove": {
        const finalizers = (vmi.metadata.finalizers ?? []).filter((finalizer) => finalizer !== VMI_FINALIZER);
        if (finalizers.length === vmi.metadata.finalizers?.length) return;
        // With the resourceVersion: another's finalizer is neither lost nor brought back. After a lost race the newer
        // object is on its way here.
        const { uid, resourceVersion } = vmi.metadata;
        const patch = client.patch(vmiResource, vmi.metadata, "merge", {
          metadata: { uid, resourceVersion, finalizers },
        });
        return unless("NotFound", unless("Conflict", patch));
      }
    }
  }

  return {
    phases() {
      const counted = new Map<string, number>();
      for (const { status } of vmis.list()) {
        const phase = status?.phase ?? "Pending";
        counted.set(phase, (counted.get(phase) ?? 0) + 1);
      }
      return counted;
    },
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

/** A refusal of that reason means that it is so already. */
async function unless(reason: string, call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (thrown) {
    if (!isApiError(thrown, reason)) throw thrown;
  }
}

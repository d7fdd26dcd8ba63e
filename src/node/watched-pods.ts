import type { KubeClient } from "../client/client.ts";
import { type Cache, inform } from "../client/informer.ts";
import type { NetworkAttachmentDefinition } from "../model/api/attachment.ts";
import type { Pod } from "../model/api/pod.ts";
import { definitionResource, podResource, vmiResource } from "../model/api/references.ts";
import { isApiError } from "../model/api/status.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { LAUNCHER_LABEL, LAUNCHER_LABEL_VALUE, NODE_FINALIZER } from "../model/pods/launcher-pod.ts";
import { isToBePaused } from "../model/pods/pause.ts";
import { linkChanges } from "../model/rules/link-state.ts";
import type { PodRecord, PodRecords } from "./records.ts";

export type LauncherPod = Stored<Pod>;
export type Vmi = Stored<VirtualMachineInstance>;

/** The pods of one node that run VMIs, and those VMIs, as the API tells of them. */
export interface WatchedPods {
  /** False until pods and VMIs are known whole: before that an absent one says nothing. */
  readonly synced: boolean;
  get(podUid: string): LauncherPod | undefined;
  uids(): Iterable<string>;
  /** The VMI that a pod is for; undefined where it is gone. */
  vmiOf(pod: LauncherPod): Vmi | undefined;
  /** True where the API has a record's pod, though not among this node's. */
  isElsewhere(record: PodRecord): Promise<boolean>;
  /** Begins to watch the pods; the VMIs are watched from the beginning. */
  begin(): void;
}

export interface WatchedPodsOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  readonly records: PodRecords;
  /** UIDs of pods of which this node has something left beside the records. */
  readonly left: () => readonly string[];
  readonly signal: AbortSignal;
  /** Hears of each pod that is to be looked at. */
  readonly changed: (podUid: string) => void;
  /** Hears that there is something that a pod may have waited for. */
  readonly definitionsChanged: () => void;
  /** Hears that something cannot be watched just now; it is tried again. */
  readonly failed: (what: string, error: unknown, waitMs: number) => void;
}

export function watchPods(options: WatchedPodsOptions): WatchedPods {
  const { client, nodeName, records, left, signal, changed, definitionsChanged } = options;
  const byUid = new Map<string, LauncherPod>();
  const isOurs = ({ metadata: { uid, labels, finalizers } }: LauncherPod): boolean =>
    labels?.[LAUNCHER_LABEL] === LAUNCHER_LABEL_VALUE ||
    finalizers?.includes(NODE_FINALIZER) === true ||
    byUid.has(uid) ||
    records.get(uid) !== undefined;
  const seen = (pod: LauncherPod): void => {
    if (!isOurs(pod)) return;
    byUid.set(pod.metadata.uid, pod);
    changed(pod.metadata.uid);
  };
  const everyPod = (): void => {
    for (const podUid of byUid.keys()) changed(podUid);
    for (const { podUid } of records.all()) changed(podUid);
    for (const podUid of left()) changed(podUid);
  };
  const podsOfVmi = (vmi: Vmi): void => {
    for (const pod of byUid.values()) if (ownerVmi(pod)?.uid === vmi.metadata.uid) changed(pod.metadata.uid);
  };
  const failed =
    (what: string) =>
    (error: unknown, waitMs: number): void =>
      options.failed(what, error, waitMs);

  const vmis: Cache<Vmi> = inform<Vmi>(
    client,
    vmiResource,
    {},
    {
      add: podsOfVmi,
      update: (vmi, before) => {
        const linksMoved = linkChanges(vmi.spec, before.spec).length > 0;
        if (linksMoved || isToBePaused(vmi) !== isToBePaused(before)) podsOfVmi(vmi);
      },
      synced: everyPod,
      failed: failed("VMIs"),
    },
    signal,
  );
  inform<Stored<NetworkAttachmentDefinition>>(
    client,
    definitionResource,
    {},
    { add: definitionsChanged, update: definitionsChanged, failed: failed("definitions") },
    signal,
  );
  let pods: Cache<LauncherPod> | undefined;

  return {
    get synced() {
      return pods?.synced === true && vmis.synced;
    },
    get: (podUid) => byUid.get(podUid),
    uids: () => byUid.keys(),
    vmiOf(pod) {
      const owner = ownerVmi(pod);
      const vmi = owner === undefined ? undefined : vmis.get(owner.name, owner.namespace);
      return vmi?.metadata.uid === owner?.uid ? vmi : undefined;
    },
    async isElsewhere({ pod, podUid }) {
      try {
        return (await client.get<LauncherPod>(podResource, pod)).metadata.uid === podUid;
      } catch (thrown) {
        if (isApiError(thrown, "NotFound")) return false;
        throw thrown;
      }
    },
    begin() {
      pods ??= inform<LauncherPod>(
        client,
        podResource,
        // Not by the label: somebody who takes it off a pod would keep its end from this node.
        { fieldSelector: `spec.nodeName=${nodeName}` },
        {
          add: seen,
          update: seen,
          delete: ({ metadata: { uid } }) => {
            if (byUid.delete(uid)) changed(uid);
          },
          synced: everyPod,
          failed: failed("pods"),
        },
        signal,
      );
    },
  };
}

/** The VMI that a pod is for, by its owner reference. */
export function ownerVmi(pod: LauncherPod): PodRecord["vmi"] | undefined {
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
  return owner === undefined ? undefined : { namespace: pod.metadata.namespace, name: owner.name, uid: owner.uid };
}

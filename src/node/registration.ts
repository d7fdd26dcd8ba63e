import type { Logger } from "pino";
import { changeStatus, now } from "../client/change-status.ts";
import type { KubeClient } from "../client/client.ts";
import { inform } from "../client/informer.ts";
import { makeReconcileQueue } from "../client/reconcile-queue.ts";
import { hugepageCapacity } from "../host/guest/hugepages.ts";
import type { Node } from "../model/api/core.ts";
import { nodeResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { type DevicePool, resourceCounts } from "../model/pods/device-resources.ts";
import { type Condition, withCondition } from "../model/status/conditions.ts";
import { machineAddresses, machineInfo } from "./machine-info.ts";

type StoredNode = Node & KubeObject;
type NodeStatus = NonNullable<Node["status"]>;

/** A machine as it is told to the API. */
export interface MachineFacts {
  readonly nodeName: string;
  readonly accel: "kvm" | "tcg";
  /** Patchbay's. */
  readonly version: string;
  /** QEMU's version. */
  readonly qemu: string;
  /** The devices that it offers, asked each time. */
  readonly pools: () => readonly DevicePool[];
}

/** This machine's Node, as it is kept. */
export interface KeptNode {
  /** Tells the API the machine's devices again, soon. */
  refresh(): void;
  close(): Promise<void>;
}

/**
 * Makes this machine a Node of the API, as {@link registerNode} does, and again whenever somebody deletes it or takes its
 * readiness away, until it is closed.
 */
export async function keepNode(client: KubeClient, machine: MachineFacts, log: Logger): Promise<KeptNode> {
  const { nodeName } = machine;
  await registerNode(client, machine);
  const closing = new AbortController();
  const queue = makeReconcileQueue(() => registerNode(client, machine), {
    failed: (_, error, waitMs) => log.warn({ error, waitMs }, "the node cannot be registered"),
  });
  const look = (node: StoredNode): void => {
    const isReady = node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
    if (isReady !== true) queue.add(nodeName);
  };
  const handlers = {
    add: look,
    update: look,
    delete: () => queue.add(nodeName),
    failed: (error: unknown, waitMs: number) => log.warn({ error, waitMs }, "the node cannot be watched"),
  };
  inform<StoredNode>(client, nodeResource, { fieldSelector: `metadata.name=${nodeName}` }, handlers, closing.signal);
  return {
    refresh: () => queue.add(nodeName),
    async close() {
      closing.abort();
      await queue.close();
    },
  };
}

/** Makes this machine a Node of the API, or takes the one there is, and says that it is ready. */
async function registerNode(client: KubeClient, { nodeName, pools, ...program }: MachineFacts): Promise<void> {
  const labels = {
    "kubernetes.io/hostname": nodeName,
    "kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
    "kubevirt.io/schedulable": "true",
  };
  const node = await existing(client, nodeName, labels);
  const { capacity, allocatable } = resourceCounts(pools());
  const hugepages = hugepageCapacity();
  await changeStatus<NodeStatus, StoredNode>(client, nodeResource, node, (status) => ({
    ...status,
    conditions: withCondition(
      (status.conditions ?? []) as readonly Condition[],
      { type: "Ready", status: "True", reason: "AgentReady", message: "The node agent runs." },
      now(),
    ),
    capacity: { ...hugepages, ...capacity },
    allocatable: { ...hugepages, ...allocatable },
    addresses: [...machineAddresses(nodeName)],
    nodeInfo: machineInfo(program),
  }));
}

async function existing(
  client: KubeClient,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<StoredNode> {
  try {
    return await client.patch<StoredNode>(nodeResource, { name }, "merge", { metadata: { labels } });
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound")) throw thrown;
    return client.create<StoredNode>(nodeResource, { apiVersion: "v1", kind: "Node", metadata: { name, labels } });
  }
}

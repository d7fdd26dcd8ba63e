import { release, version } from "node:os";
import { changeStatus, now } from "../client/change-status.ts";
import type { KubeClient } from "../client/client.ts";
import type { Node } from "../model/api/core.ts";
import { nodeResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { type Condition, withCondition } from "../model/status/conditions.ts";

type StoredNode = Node & KubeObject;
type NodeStatus = NonNullable<Node["status"]>;

/** Makes this machine a Node of the API, or takes the one there is, and says that it is ready. */
export async function registerNode(client: KubeClient, nodeName: string, accel: "kvm" | "tcg"): Promise<void> {
  const labels = {
    "kubernetes.io/hostname": nodeName,
    "kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
    "kubevirt.io/schedulable": "true",
  };
  const node = await existing(client, nodeName, labels);
  await changeStatus<NodeStatus, StoredNode>(client, nodeResource, node, (status) => ({
    ...status,
    conditions: withCondition(
      (status.conditions ?? []) as readonly Condition[],
      { type: "Ready", status: "True", reason: "AgentReady", message: "The node agent runs." },
      now(),
    ),
    addresses: [{ type: "Hostname", address: nodeName }],
    nodeInfo: {
      kernelVersion: release(),
      osImage: version(),
      architecture: "amd64",
      operatingSystem: "linux",
      accelerator: accel,
    },
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

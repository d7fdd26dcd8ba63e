import type { Node } from "../model/api/core.ts";
import type { Pod } from "../model/api/pod.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { launcherPod } from "../model/pods/launcher-pod.ts";
import { assign, claim, enterPhase, inOrder, isFinal, type VmiStatusChange } from "../model/status/vmi.ts";

/** Held until the VMI's pods are gone, as KubeVirt does. */
export const VMI_FINALIZER = "foregroundDeleteVirtualMachine";

/** One thing that the controller does for a VMI. */
export type VmiAction =
  | { readonly do: "pod.create"; readonly pod: Pod }
  | { readonly do: "pod.delete"; readonly name: string; readonly uid: string }
  | { readonly do: "status"; readonly change: VmiStatusChange }
  | { readonly do: "event"; readonly type: "Normal" | "Warning"; readonly reason: string; readonly message: string }
  | { readonly do: "finalizer.remove" };

/** What the controller knows when it decides. */
export interface VmiSituation {
  readonly vmi: Stored<VirtualMachineInstance>;
  /** The pods made for this VMI's UID. */
  readonly pods: readonly Stored<Pod>[];
  readonly nodes: readonly ClusterNode[];
}

/** A Node as the API stores it. */
export type ClusterNode = Node & {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
};

/** What to do for a VMI now; empty when all is as it should be. What the node reports of the guest is not decided here. */
export function decideVmi({ vmi, pods, nodes }: VmiSituation): readonly VmiAction[] {
  if (vmi.metadata.deletionTimestamp !== undefined) {
    const going = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    if (pods.length === 0) return [{ do: "finalizer.remove" }];
    return going.map((pod) => ({ do: "pod.delete", name: pod.metadata.name, uid: pod.metadata.uid }));
  }
  const phase = vmi.status?.phase ?? "";
  if (isFinal(phase) || phase === "Running") return [];
  const [pod] = pods;
  if (pod === undefined) {
    const node = nodes.find((candidate) => takes(candidate, vmi.spec.nodeSelector ?? {}));
    if (node === undefined) return noNode(vmi, phase);
    const made = launcherPod(vmi, node.metadata.name, vmi.metadata.uid.slice(-5));
    return [
      { do: "pod.create", pod: made },
      { do: "status", change: inOrder(enterPhase("Scheduling"), claim({ type: "PodScheduled", status: "True" })) },
      {
        do: "event",
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `Created virtual machine pod ${made.metadata?.name}`,
      },
    ];
  }
  const nodeName = pod.spec?.nodeName;
  if (nodeName === undefined) return [{ do: "status", change: enterPhase("Scheduling") }];
  return [
    {
      do: "status",
      change: inOrder(enterPhase("Scheduled"), assign({ nodeName, activePods: { [pod.metadata.uid]: nodeName } })),
    },
  ];
}

function noNode(vmi: Stored<VirtualMachineInstance>, phase: string): readonly VmiAction[] {
  const labels = Object.entries(vmi.spec.nodeSelector ?? {}).map(([key, value]) => `${key}=${value}`);
  const wanted = labels.length === 0 ? "" : ` that has the labels ${labels.join(", ")}`;
  const message = `No node is ready${wanted}. Correct spec.nodeSelector, label a node, or start the daemon.`;
  const change = inOrder(
    enterPhase("Pending"),
    claim(
      { type: "PodScheduled", status: "False", reason: "PB6104", message },
      { type: "Synchronized", status: "False", reason: "PB6104", message },
    ),
  );
  const told = phase === "Pending" && vmi.status?.conditions?.some(({ reason }) => reason === "PB6104") === true;
  return told
    ? []
    : [
        { do: "status", change },
        { do: "event", type: "Warning", reason: "PB6104", message },
      ];
}

function takes(node: ClusterNode, selector: Readonly<Record<string, string>>): boolean {
  const ready = (node.status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True");
  return ready && Object.entries(selector).every(([key, value]) => node.metadata.labels?.[key] === value);
}

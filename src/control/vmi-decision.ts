import type { Pod } from "../model/api/pod.ts";
import type { Stored } from "../model/api/stored.ts";
import type { VirtualMachineInstance } from "../model/api/vmi.ts";
import { launcherPod, type Plugins } from "../model/pods/launcher-pod.ts";
import { type ClusterNode, unfitness } from "../model/pods/node-fit.ts";
import {
  assign,
  beforeGuest,
  claim,
  enterPhase,
  inOrder,
  isToldOf,
  podScheduled,
  type VmiStatusChange,
} from "../model/status/vmi.ts";

/** Held until the VMI's pods are gone, as KubeVirt does. */
export const VMI_FINALIZER = "foregroundDeleteVirtualMachine";

/** Nodes that a message names. */
const MOST_TOLD = 3;

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
  /** The binding plugins that are registered now. */
  readonly plugins?: Plugins;
}

/** What to do for a VMI now; empty when all is as it should be. What the node reports of the guest is not decided here. */
export function decideVmi({ vmi, pods, nodes, plugins }: VmiSituation): readonly VmiAction[] {
  if (vmi.metadata.deletionTimestamp !== undefined) {
    const going = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    if (pods.length === 0) return [{ do: "finalizer.remove" }];
    return going.map((pod) => ({ do: "pod.delete", name: pod.metadata.name, uid: pod.metadata.uid }));
  }
  const phase = vmi.status?.phase ?? "";
  if (isToldOf(phase)) return [];
  const [pod] = pods;
  if (pod === undefined) {
    const node = nodes.find((candidate) => unfitness(candidate, vmi.spec) === undefined);
    if (node === undefined) return noNode(vmi, phase, nodes);
    const made = launcherPod(vmi, node.metadata.name, vmi.metadata.uid.slice(-5), plugins);
    return [
      { do: "pod.create", pod: made },
      { do: "status", change: beforeGuest(inOrder(enterPhase("Scheduling"), podScheduled)) },
      {
        do: "event",
        type: "Normal",
        reason: "SuccessfulCreate",
        message: `Created virtual machine pod ${made.metadata?.name}`,
      },
    ];
  }
  const nodeName = pod.spec?.nodeName;
  if (nodeName === undefined) return [{ do: "status", change: beforeGuest(enterPhase("Scheduling")) }];
  return [
    {
      do: "status",
      change: beforeGuest(
        inOrder(
          enterPhase("Scheduled"),
          podScheduled,
          assign({ nodeName, activePods: { [pod.metadata.uid]: nodeName } }),
        ),
      ),
    },
  ];
}

function noNode(
  vmi: Stored<VirtualMachineInstance>,
  phase: string,
  nodes: readonly ClusterNode[],
): readonly VmiAction[] {
  const told = nodes.slice(0, MOST_TOLD).map((node) => `${node.metadata.name} ${unfitness(node, vmi.spec)}`);
  const message =
    told.length === 0
      ? "No node takes the guest: there is none. Start the daemon."
      : `No node takes the guest: ${told.join("; ")}. Correct spec.nodeSelector, label a node, or let one take guests.`;
  const change = podRefused({ reason: "PB6104", message });
  const isTold = phase === "Pending" && vmi.status?.conditions?.some((one) => one.message === message) === true;
  return isTold
    ? []
    : [
        { do: "status", change },
        { do: "event", type: "Warning", reason: "PB6104", message },
      ];
}

/** Why there is no pod for a VMI; a condition and an event say it. */
export interface PodFailure {
  readonly reason: string;
  readonly message: string;
}

export function inTheWay(pod: string): PodFailure {
  const message = `There is a Pod "${pod}" that does not belong to this VMI. Delete it: the VMI's own pod needs that name.`;
  return { reason: "PB6119", message };
}

export function notMade(why: string): PodFailure {
  return { reason: "PB6119", message: `The VMI's pod was refused: ${why}` };
}

export function podRefused({ reason, message }: PodFailure): VmiStatusChange {
  return beforeGuest(
    inOrder(
      enterPhase("Pending"),
      claim(
        { type: "PodScheduled", status: "False", reason, message },
        { type: "Synchronized", status: "False", reason, message },
      ),
    ),
  );
}

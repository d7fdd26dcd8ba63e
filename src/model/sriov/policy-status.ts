import type { SriovNetworkNodePolicy } from "../api/sriov-resources.ts";
import type { Fault } from "../fault.ts";
import { type ConditionClaim, withCondition } from "../status/conditions.ts";

export type PolicyStatus = NonNullable<SriovNetworkNodePolicy["status"]>;

/** What a node has to say of a policy: how many devices it offers by it, and what is in the way. */
export interface NodeAnswer {
  readonly devices: number;
  readonly fault?: Fault;
}

/** The status with a node's answer in it, or without where the policy is not for the node; the very same where it is so. */
export function withNodeAnswer(
  status: Partial<PolicyStatus>,
  node: string,
  answer: NodeAnswer | undefined,
  now: string,
): Partial<PolicyStatus> {
  const before = status.nodes ?? [];
  const own = answer === undefined ? [] : [entryOf(node, answer)];
  const nodes = [...before.filter((one) => one.node !== node), ...own].toSorted((one, other) =>
    one.node < other.node ? -1 : 1,
  );
  const earlier = status.conditions ?? [];
  const conditions = nodes.length === 0 && earlier.length === 0 ? earlier : withCondition(earlier, readyOf(nodes), now);
  const isSame = conditions === earlier && JSON.stringify(before) === JSON.stringify(nodes);
  return isSame ? status : { ...status, nodes, conditions };
}

type Entry = NonNullable<PolicyStatus["nodes"]>[number];

function entryOf(node: string, { devices, fault }: NodeAnswer): Entry {
  if (fault === undefined) return { node, devices };
  const { code, message, cure } = fault;
  return { node, devices, reason: code, message: cure === undefined ? message : `${message} ${cure}` };
}

function readyOf(nodes: readonly Entry[]): ConditionClaim {
  const type = "Ready";
  const failed = nodes.find(({ reason }) => reason !== undefined);
  if (failed !== undefined) {
    return { type, status: "False", reason: failed.reason ?? "", message: `${failed.node}: ${failed.message ?? ""}` };
  }
  const offered = nodes.map(({ node, devices }) => `${node} ${devices}`).join(", ");
  return nodes.length === 0
    ? { type, status: "False", reason: "NoNode", message: "No node has the labels of spec.nodeSelector." }
    : { type, status: "True", reason: "Applied", message: `Virtual functions that nodes offer: ${offered}.` };
}

import type { Node } from "../api/core.ts";
import { isJsonObject, type JsonObject, textAt } from "../json.ts";

/** What a node must satisfy to get a guest. */
export interface Placement {
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly tolerations?: readonly unknown[];
}

/** A Node as the API stores it. */
export type ClusterNode = Node & {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
};

/** The taint that stands for `kubectl cordon`. */
const CORDONED = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

/**
 * Why a node does not take a guest, as the rest of a sentence about it; undefined where it does. As Kubernetes'
 * scheduler has it: readiness, labels, cordon and taints ("Taints and Tolerations").
 */
export function unfitness(node: ClusterNode, { nodeSelector = {}, tolerations = [] }: Placement): string | undefined {
  const isReady = node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
  if (!isReady) return "is not ready";
  const lacking = Object.entries(nodeSelector).filter(([key, value]) => node.metadata.labels?.[key] !== value);
  if (lacking.length > 0) {
    return `does not have the labels ${lacking.map(([key, value]) => `${key}=${value}`).join(", ")}`;
  }
  const isTolerated = (taint: JsonObject) => tolerations.some((one) => isJsonObject(one) && tolerates(one, taint));
  if (node.spec?.unschedulable === true && !isTolerated(CORDONED)) {
    return `takes no more guests (kubectl uncordon ${node.metadata.name})`;
  }
  const taint = (node.spec?.taints ?? [])
    .filter(isJsonObject)
    .find((each) => /^No(?:Schedule|Execute)$/.test(textAt(each, "effect") ?? "") && !isTolerated(each));
  if (taint === undefined) return undefined;
  const { key, value, effect } = taint;
  return `has the taint ${String(key)}${value === undefined ? "" : `=${String(value)}`}:${String(effect)}, which spec.tolerations does not accept`;
}

function tolerates({ key = "", operator = "Equal", value = "", effect = "" }: JsonObject, taint: JsonObject): boolean {
  if (effect !== "" && effect !== taint["effect"]) return false;
  if (key === "") return operator === "Exists";
  return key === taint["key"] && (operator === "Exists" || value === (taint["value"] ?? ""));
}

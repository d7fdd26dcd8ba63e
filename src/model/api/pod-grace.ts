import { type JsonObject, objectAt, textAt } from "../json.ts";

/** Longer than any pod lives (68 years), so that every end has a date. */
const LONGEST_SECONDS = 2 ** 31 - 1;

/**
 * Seconds that a pod has from its deletion to its end: what the deletion asks for, else what its spec does. One that no node
 * has, or that has ended, needs none. As Kubernetes counts.
 */
export function podGrace(pod: JsonObject, asked: number | undefined): number {
  const spec = objectAt(pod, "spec");
  const phase = textAt(objectAt(pod, "status"), "phase");
  if (textAt(spec, "nodeName") === undefined || phase === "Succeeded" || phase === "Failed") return 0;
  const own = spec["terminationGracePeriodSeconds"];
  const seconds = asked ?? (typeof own === "number" ? own : 0);
  return seconds < 0 ? 1 : Math.min(seconds, LONGEST_SECONDS);
}

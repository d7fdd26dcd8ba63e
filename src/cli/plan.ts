import { planSvg } from "../model/picture/svg.ts";
import { type Plan, planVmi } from "../model/wiring/plan.ts";
import { planText } from "../model/wiring/plan-text.ts";
import { type OfInstances, ofInstances } from "./instances.ts";
import type { JudgedManifests } from "./judged-manifests.ts";
import { showEach } from "./show-each.ts";

/** Options of `patchbay plan`. */
export interface PlanOptions {
  readonly filename: readonly string[];
  readonly config?: string;
  readonly output?: "text" | "json" | "svg";
}

/**
 * Prints what would be built for each VMI and VM of the files; does nothing, needs no root and no daemon.
 *
 * What cannot be built is told as findings, beside the plans of the others.
 */
export function plan({ filename, config, output }: PlanOptions): number {
  return showEach(
    { filename, config, json: output === "json", of: "plan" },
    (request) => planVmi(request),
    (plans) => (output === "svg" ? planSvg(plans) : plans.map(planText).join("\n")),
  );
}

/** Plans the VMIs and VMs among manifests. */
export function planAll(judged: JudgedManifests): OfInstances<Plan> {
  return ofInstances(judged, (request) => planVmi(request));
}

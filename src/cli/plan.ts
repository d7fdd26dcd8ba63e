import { findingJson } from "../model/manifest/finding.ts";
import { planSvg } from "../model/picture/svg.ts";
import { type Plan, planVmi } from "../model/wiring/plan.ts";
import { planText } from "../model/wiring/plan-text.ts";
import { type OfInstances, ofInstances } from "./instances.ts";
import { isSound, type JudgedManifests, judgeManifests, printFindings } from "./judged-manifests.ts";

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
export function plan(options: PlanOptions): number {
  const judged = judgeManifests(options.filename, options.config);
  printFindings(judged, process.stderr);
  const { results: plans, refusals } = isSound(judged) ? planAll(judged) : { results: [], refusals: judged.findings };
  if (isSound(judged)) printFindings({ ...judged, findings: refusals }, process.stderr);
  if (plans.length === 0 && refusals.length > 0) {
    if (options.output === "json") {
      process.stdout.write(`${JSON.stringify({ findings: refusals.map(findingJson) }, undefined, 2)}\n`);
    }
    return 1;
  }
  if (options.output === "json") {
    const [only, ...more] = plans;
    process.stdout.write(`${JSON.stringify(only !== undefined && more.length === 0 ? only : plans, undefined, 2)}\n`);
  } else if (options.output === "svg") process.stdout.write(planSvg(plans));
  else process.stdout.write(plans.map(planText).join("\n"));
  return refusals.length === 0 ? 0 : 1;
}

/** Plans the VMIs and VMs among sound manifests. */
export function planAll(judged: JudgedManifests): OfInstances<Plan> {
  return ofInstances(judged, (request) => planVmi(request));
}

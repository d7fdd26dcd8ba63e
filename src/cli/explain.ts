import { type Explanation, explainVmi } from "../model/explain/explain.ts";
import { renderExplanation } from "../model/explain/render.ts";
import { findingJson } from "../model/manifest/finding.ts";
import { ofInstances } from "./instances.ts";
import { isSound, judgeManifests, printFindings } from "./judged-manifests.ts";

/** Options of `patchbay explain`. */
export interface ExplainOptions {
  readonly filename?: readonly string[];
  readonly config?: string;
  readonly namespace: string;
  readonly dataDir: string;
  readonly output?: "text" | "json";
}

/** Says in plain words what the network of VMIs is: of manifests, or of a VMI that the daemon knows. */
export async function explain(name: string | undefined, options: ExplainOptions): Promise<number> {
  if ((name === undefined) === (options.filename === undefined)) {
    process.stderr.write("patchbay: explain wants either -f or the name of a VMI.\n");
    return 2;
  }
  if (name !== undefined) {
    const { explainRunning } = await import("./explain-running.ts");
    print([await explainRunning(name, options)], options);
    return 0;
  }
  const judged = judgeManifests(options.filename ?? [], options.config);
  printFindings(judged, process.stderr);
  const { results, refusals } = isSound(judged)
    ? ofInstances(judged, (request) => explainVmi(request))
    : { results: [], refusals: judged.findings };
  if (isSound(judged)) printFindings({ ...judged, findings: refusals }, process.stderr);
  if (results.length > 0 || refusals.length === 0) print(results, options);
  else if (options.output === "json") {
    process.stdout.write(`${JSON.stringify({ findings: refusals.map(findingJson) }, undefined, 2)}\n`);
  }
  return refusals.length === 0 ? 0 : 1;
}

function print(explanations: readonly Explanation[], { output }: ExplainOptions): void {
  if (output === "json") {
    const [only, ...more] = explanations;
    const shown = only !== undefined && more.length === 0 ? only : explanations;
    process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`);
  } else {
    const width = process.stdout.columns || undefined;
    process.stdout.write(explanations.map((one) => renderExplanation(one, width)).join("\n"));
  }
}

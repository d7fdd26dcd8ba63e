import { type Explanation, explainVmi } from "../model/explain/explain.ts";
import { renderExplanation } from "../model/explain/render.ts";
import { showEach } from "./show-each.ts";

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
  const json = options.output === "json";
  const text = (explanations: readonly Explanation[]): string => {
    const width = process.stdout.columns || undefined;
    return explanations.map((one) => renderExplanation(one, width)).join("\n");
  };
  if (name !== undefined) {
    const { explainRunning } = await import("./explain-running.ts");
    const explanation = await explainRunning(name, options);
    process.stdout.write(json ? `${JSON.stringify(explanation, undefined, 2)}\n` : text([explanation]));
    return 0;
  }
  const { filename = [], config } = options;
  return showEach({ filename, config, json, of: "explain" }, (request) => explainVmi(request), text);
}

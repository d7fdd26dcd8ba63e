import { findingJson } from "../model/manifest/finding.ts";
import type { PlanRequest } from "../model/wiring/plan.ts";
import { ofInstances } from "./instances.ts";
import { isSound, judgeManifests, printFindings, withFindings } from "./judged-manifests.ts";

/** Where the manifests are, and how what is made of them is shown. */
export interface ShowEachOptions {
  readonly filename: readonly string[];
  readonly config: string | undefined;
  readonly json: boolean;
  /** What is made, as a verb. */
  readonly of: "plan" | "explain";
}

/**
 * Makes something of each VMI and VM of the files and prints it, and on stderr what is to say of the manifests; answers the
 * exit code, 1 where anything is refused.
 *
 * JSON is the thing itself where there is one, and a list of several; `{findings}` where there is none for an error.
 */
export function showEach<T>(
  { filename, config, json, of }: ShowEachOptions,
  make: (request: PlanRequest) => T,
  text: (made: readonly T[]) => string,
): number {
  const given = judgeManifests(filename, config);
  const { results, refusals, notices } = ofInstances(given, make);
  const judged = withFindings(given, [...refusals, ...notices]);
  printFindings(judged, process.stderr);
  const sound = isSound(judged);
  if (results.length === 0 && sound) {
    process.stderr.write(
      `There is no VirtualMachine and no VirtualMachineInstance to ${of} in ${filename.join(", ")}.\n`,
    );
  }
  if (json) {
    const [only, ...more] = results;
    const none = sound ? [] : { findings: judged.findings.map(findingJson) };
    const shown = only === undefined ? none : more.length === 0 ? only : results;
    process.stdout.write(`${JSON.stringify(shown, undefined, 2)}\n`);
  } else if (results.length > 0) process.stdout.write(text(results));
  return sound ? 0 : 1;
}

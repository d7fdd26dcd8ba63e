import type { Code } from "../model/codes/codes.ts";
import type { Finding } from "../model/manifest/finding.ts";
import type { JudgedManifests } from "./judged-manifests.ts";
import { packageVersion, pageOf } from "./package-files.ts";

/** Options of `patchbay validate`. */
export interface ValidateOptions {
  readonly filename?: readonly string[];
  /** File with a KubeVirt resource or the older ConfigMap. */
  readonly config?: string;
  /** File with one admission case a line. */
  readonly cases?: string;
  /** A code whose page is wanted. */
  readonly explain?: string;
  /** Looks at the daemon's objects and at this host as well. */
  readonly live?: boolean;
  readonly dataDir: string;
  readonly output?: "text" | "json" | "sarif";
}

/** Judges manifests or cases, or explains a code, and prints; answers the exit code. */
export async function validate(options: ValidateOptions): Promise<number> {
  if (options.explain !== undefined) return explain(options.explain);
  if (options.cases !== undefined) return validateCases(options.cases);
  if (options.filename === undefined) {
    process.stderr.write("patchbay: validate wants -f, --cases or --explain.\n");
    return 2;
  }
  const { judgeManifests, isSound, printFindings } = await import("./judged-manifests.ts");
  const judged = await judgeAll(judgeManifests, options.filename, options);
  if (options.output === "json") {
    const { findingJson } = await import("../model/manifest/finding.ts");
    process.stdout.write(`${JSON.stringify({ findings: judged.findings.map(findingJson) }, undefined, 2)}\n`);
  } else if (options.output === "sarif") {
    const { sarifLog } = await import("../model/manifest/sarif.ts");
    const log = sarifLog(judged.findings, { version: packageVersion(), page: pageOf });
    process.stdout.write(`${JSON.stringify(log, undefined, 2)}\n`);
  } else if (judged.findings.length > 0) printFindings(judged, process.stdout);
  else process.stdout.write("no findings\n");
  return isSound(judged) ? 0 : 1;
}

/**
 * With what stands in the way of a plan: rules alone do not know the machine. Where `--live` asks for it, the daemon's
 * objects and this host are looked at as well.
 */
async function judgeAll(
  judgeManifests: typeof import("./judged-manifests.ts").judgeManifests,
  files: readonly string[],
  { config, live, dataDir }: ValidateOptions,
): Promise<JudgedManifests> {
  const [{ withFindings }, { planAll }] = await Promise.all([import("./judged-manifests.ts"), import("./plan.ts")]);
  const ofPlans = (judged: JudgedManifests): Finding[] => {
    const { refusals, notices } = planAll(judged);
    return [...refusals, ...notices];
  };
  if (live !== true) {
    const judged = judgeManifests(files, config);
    return withFindings(judged, ofPlans(judged));
  }
  const { hostFindings, readLiving } = await import("./living.ts");
  const judged = judgeManifests(files, config, await readLiving(dataDir));
  return withFindings(judged, [...ofPlans(judged), ...(await hostFindings(judged, dataDir))]);
}

/** Answers every case of a file, one JSON line each; a line that is none is refused (PB1001). PB1000 where the file cannot be read. */
export async function validateCases(path: string): Promise<number> {
  const [{ answerCase }, { readCase }, { wholeText }] = await Promise.all([
    import("../model/rules/conformance.ts"),
    import("../model/rules/case-line.ts"),
    import("./manifest-files.ts"),
  ]);
  const answers: string[] = [];
  let unread = 0;
  for (const [index, line] of wholeText(path).split("\n").entries()) {
    if (line.trim() === "") continue;
    const one = readCase(line);
    if ("why" in one) {
      // The others are answered all the same.
      unread += 1;
      process.stderr.write(`patchbay: PB1001: ${path}:${index + 1} is no case: ${one.why}.\n`);
      answers.push(JSON.stringify({ id: one.id ?? `line ${index + 1}`, allowed: false, causes: [], defaulted: null }));
    } else answers.push(JSON.stringify(answerCase(one.id, one.kind, one.object, one.config)));
  }
  process.stdout.write(answers.map((answer) => `${answer}\n`).join(""));
  return unread === 0 ? 0 : 1;
}

/** Prints the page of a code. */
export async function explain(code: string): Promise<number> {
  const [{ codes }, { nearMiss }] = await Promise.all([
    import("../model/codes/codes.ts"),
    import("../model/near-miss.ts"),
  ]);
  const wanted = code.toUpperCase();
  if (!isCode(codes, wanted)) {
    const near = nearMiss(wanted, Object.keys(codes));
    process.stderr.write(
      `patchbay: there is no code "${code}".${near === undefined ? "" : ` Did you mean ${near}?`}\n`,
    );
    return 2;
  }
  process.stdout.write(pageOf(wanted));
  return 0;
}

function isCode(codes: Readonly<Record<Code, string>>, word: string): word is Code {
  return Object.hasOwn(codes, word);
}

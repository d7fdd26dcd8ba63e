import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../model/fault.ts";
import type { Finding } from "../model/manifest/finding.ts";
import type { ManifestText } from "./manifest-files.ts";

/** Options of `patchbay validate`. */
export interface ValidateOptions {
  readonly filename?: readonly string[];
  /** File with a KubeVirt resource or the older ConfigMap. */
  readonly config?: string;
  /** File with one admission case a line. */
  readonly cases?: string;
  /** A code whose page is wanted. */
  readonly explain?: string;
  readonly output?: "text" | "json";
}

export interface Validated {
  /** In the order of files, lines and columns. */
  readonly findings: readonly Finding[];
  readonly texts: readonly ManifestText[];
  /** 1 when a finding is an error. */
  readonly exitCode: 0 | 1;
}

/** Judges manifests or cases, or explains a code, and prints; answers the exit code. */
export async function validate(options: ValidateOptions): Promise<number> {
  if (options.explain !== undefined) return explain(options.explain);
  if (options.cases !== undefined) return validateCases(options.cases);
  if (options.filename === undefined) {
    process.stderr.write("patchbay: validate wants -f, --cases or --explain.\n");
    return 2;
  }
  const { findings, texts, exitCode } = await validateFiles(options.filename, options);
  if (options.output === "json") {
    const { findingJson } = await import("../model/manifest/finding.ts");
    process.stdout.write(`${JSON.stringify({ findings: findings.map(findingJson) }, undefined, 2)}\n`);
    return exitCode;
  }
  const { renderFinding, renderSummary } = await import("../model/manifest/render.ts");
  const colour = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;
  const sources = new Map(texts.map(({ file, text }) => [file, text]));
  for (const finding of findings) {
    const source = sources.get(finding.file);
    process.stdout.write(`${renderFinding(finding, { colour, ...(source === undefined ? {} : { source }) })}\n`);
  }
  process.stdout.write(`${renderSummary(findings)}\n`);
  return exitCode;
}

/** Everything to say about files, folders and stdin (`-`). Throws PB1000 where one cannot be read. */
export async function validateFiles(
  files: readonly string[],
  options: { readonly config?: string } = {},
): Promise<Validated> {
  const [{ manifestTexts, readAll }, { checkManifest }, { configurationAmong }, { byPlace }] = await Promise.all([
    import("./manifest-files.ts"),
    import("../model/manifest/check.ts"),
    import("../model/manifest/configuration.ts"),
    import("../model/manifest/finding.ts"),
  ]);
  const texts = manifestTexts(files);
  const read = readAll(texts);
  const documents = read.flatMap((manifests) => manifests.documents);
  const configTexts = options.config === undefined ? [] : manifestTexts([options.config]);
  const configRead = readAll(configTexts);
  const configDocuments = configRead.flatMap((manifests) => manifests.documents);
  // Without a configuration of its own, a run takes the one among its documents.
  const { configuration, findings: configFindings } = configurationAmong(
    options.config === undefined ? documents : configDocuments,
  );
  const findings = [
    ...[...read, ...configRead].flatMap((manifests) => manifests.findings),
    ...configFindings,
    ...[...documents, ...configDocuments].flatMap((document) => checkManifest(document, configuration)),
  ].toSorted(byPlace);
  const failed = findings.some(({ severity }) => severity === "error");
  return { findings, texts: [...texts, ...configTexts], exitCode: failed ? 1 : 0 };
}

/** Answers every case of a file, one JSON line each. PB1000 or PB1001 where the file cannot be read. */
export async function validateCases(path: string): Promise<number> {
  const [{ answerCase }, { readCase }, { manifestTexts }] = await Promise.all([
    import("../model/rules/conformance.ts"),
    import("../model/rules/case-line.ts"),
    import("./manifest-files.ts"),
  ]);
  const [source] = manifestTexts([path]);
  const answers: string[] = [];
  for (const [index, line] of (source?.text ?? "").split("\n").entries()) {
    if (line.trim() === "") continue;
    const one = readCase(line);
    if (typeof one === "string") {
      throw new Fault("PB1001", `${path}:${index + 1} is no case: ${one}.`, { place: `${path}:${index + 1}` });
    }
    answers.push(JSON.stringify(answerCase(one.id, one.kind, one.object, one.config)));
  }
  process.stdout.write(answers.map((answer) => `${answer}\n`).join(""));
  return 0;
}

/** Prints the page of a code. */
export async function explain(code: string): Promise<number> {
  const [{ codes }, { nearMiss }] = await Promise.all([
    import("../model/codes/codes.ts"),
    import("../model/api/near-miss.ts"),
  ]);
  const wanted = code.toUpperCase();
  if (!Object.hasOwn(codes, wanted)) {
    const near = nearMiss(wanted, Object.keys(codes));
    process.stderr.write(
      `patchbay: there is no code "${code}".${near === undefined ? "" : ` Did you mean ${near}?`}\n`,
    );
    return 2;
  }
  process.stdout.write(readFileSync(join(import.meta.dirname, "../../docs/findings", `${wanted}.md`), "utf8"));
  return 0;
}

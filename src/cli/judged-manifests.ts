import { Fault } from "../model/fault.ts";
import { checkManifest } from "../model/manifest/check.ts";
import type { CniFile } from "../model/manifest/cni-file.ts";
import { completeManifests } from "../model/manifest/completion.ts";
import { configurationAmong } from "../model/manifest/configuration.ts";
import type { ManifestDocument } from "../model/manifest/document.ts";
import { byPlace, type Finding } from "../model/manifest/finding.ts";
import { renderFinding, renderSummary } from "../model/manifest/render.ts";
import { CONFIG_MAP, givenConfiguration } from "../model/rules/configuration.ts";
import { wholePathFindings } from "../model/whole-path/whole-path.ts";
import { type ManifestText, manifestTexts, readAll } from "./manifest-files.ts";

/** Manifests with all that is to say about them. */
export interface JudgedManifests {
  /** As they were meant: completed where they left something out. */
  readonly documents: readonly ManifestDocument[];
  /** Those of them that are refused as they stand. */
  readonly unsound: ReadonlySet<ManifestDocument>;
  /** CNI configurations that stand in files of their own. */
  readonly cniFiles: readonly CniFile[];
  /** What is stored already where they are to go. */
  readonly stored: readonly ManifestDocument[];
  /** `spec.configuration` that they were judged by; the one among the documents where none was named. */
  readonly configuration: unknown;
  /** True where the texts that were named for it hold a configuration. */
  readonly configures: boolean;
  /** In the order of files, lines and columns. */
  readonly findings: readonly Finding[];
  readonly texts: readonly ManifestText[];
}

/**
 * Reads, completes and judges files, folders and stdin (`-`). Throws PB1000 where one cannot be read, or none holds a manifest.
 */
export function judgeManifests(files: readonly string[], config: string | undefined, living?: Living): JudgedManifests {
  const texts = manifestTexts(files);
  const configTexts = config === undefined ? undefined : manifestTexts([config]);
  const judged = judgeTexts(texts, configTexts, living);
  const isRead = !judged.findings.some((one) => isError(one) && configTexts?.some(({ file }) => file === one.file));
  if (configTexts !== undefined && !judged.configures && isRead) {
    throw new Fault(
      "PB1000",
      `There is no configuration in ${config}: neither a KubeVirt resource nor the ConfigMap ${CONFIG_MAP}.`,
      {
        place: config ?? "",
        cure: "Name a file with one of them, or leave --config out.",
      },
    );
  }
  const names = new Set(texts.map(({ file }) => file));
  if (
    judged.documents.length === 0 &&
    judged.cniFiles.length === 0 &&
    !judged.findings.some(({ file }) => names.has(file))
  ) {
    throw new Fault("PB1000", `There is no manifest in ${[...names].join(", ") || "the folders named"}.`, {
      cure: "Name files that hold at least one resource.",
    });
  }
  return judged;
}

/** What there is already where manifests are to go. */
export interface Living {
  /** `spec.configuration` that holds there. */
  readonly configuration: unknown;
  /** Objects that are stored there. */
  readonly documents: readonly ManifestDocument[];
  /** MTUs of the host's links by their names. */
  readonly links: ReadonlyMap<string, number>;
}

/**
 * The same for texts; `configTexts` hold the configuration in place of that among the texts themselves, which counts
 * before that of `living`.
 */
export function judgeTexts(
  texts: readonly ManifestText[],
  configTexts?: readonly ManifestText[],
  living?: Living,
): JudgedManifests {
  const read = readAll(texts);
  const given = completeManifests(read.flatMap((manifests) => manifests.documents));
  const configRead = readAll(configTexts ?? []);
  const cniFiles = read.flatMap(({ cniFile }) => cniFile ?? []);
  const configGiven = completeManifests(configRead.flatMap((manifests) => manifests.documents));
  const { configuration = living?.configuration, findings } = configurationAmong(
    (configTexts === undefined ? given : configGiven).documents,
  );
  const checked = [...given.documents, ...configGiven.documents].map((document) => ({
    document,
    found: checkManifest(document, configuration),
  }));
  const names = new Set(texts.map(({ file }) => file));
  const around = { cniFiles, ...(living === undefined ? {} : { links: living.links, complete: true }) };
  return {
    documents: given.documents,
    unsound: new Set(checked.filter(({ found }) => found.some(isError)).map(({ document }) => document)),
    cniFiles,
    stored: living?.documents ?? [],
    configuration,
    configures: configGiven.documents.some(({ value }) => givenConfiguration(value) !== undefined),
    texts: [...texts, ...(configTexts ?? [])],
    findings: [
      ...[...read, ...configRead].flatMap((manifests) => manifests.findings),
      ...given.findings,
      ...configGiven.findings,
      ...findings,
      ...checked.flatMap(({ found }) => found),
      ...wholePathFindings([...(living?.documents ?? []), ...given.documents], configuration, around).filter(
        ({ file }) => names.has(file),
      ),
    ].toSorted(byPlace),
  };
}

/** True when nothing that was found forbids to go on. */
export function isSound({ findings }: JudgedManifests): boolean {
  return !findings.some(isError);
}

function isError({ severity }: Finding): boolean {
  return severity === "error";
}

/** The same with more findings. */
export function withFindings(judged: JudgedManifests, more: readonly Finding[]): JudgedManifests {
  return { ...judged, findings: [...judged.findings, ...more].toSorted(byPlace) };
}

/** Colours are for terminals, unless NO_COLOR says otherwise or the terminal has none. */
export function isColoured(
  to: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return to.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}

/** Prints findings with their source lines, coloured on a terminal; nothing where there are none. */
export function printFindings({ findings, texts }: JudgedManifests, to: NodeJS.WriteStream): void {
  if (findings.length === 0) return;
  const colour = isColoured(to, process.env);
  const sources = new Map(texts.map(({ file, text }) => [file, text]));
  for (const finding of findings) {
    const source = sources.get(finding.file);
    to.write(`${renderFinding(finding, { colour, ...(source === undefined ? {} : { source }) })}\n`);
  }
  to.write(`${renderSummary(findings)}\n`);
}

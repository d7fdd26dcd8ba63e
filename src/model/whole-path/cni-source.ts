import { type FieldPath, parseFieldPath } from "../api/field-path.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import type { CniFile } from "../manifest/cni-file.ts";
import type { Position } from "../manifest/document.ts";
import { type Finding, findingAt, type Statement } from "../manifest/finding.ts";
import { readManifests } from "../manifest/read.ts";
import type { AttachmentDefinition } from "../networks/attachment-definitions.ts";
import type { CniNetwork, CniPlugin, CniProblem } from "../networks/cni-config.ts";
import { readJson } from "../networks/cni-json.ts";

/** A CNI configuration of the run, and where it is written. */
export interface CniSource {
  readonly file: string;
  /** `The CNI configuration of default/lan`, `The CNI configuration net.d/00-lan.conf`. */
  readonly name: string;
  /** The NetworkAttachmentDefinition that it is of; absent for a file. */
  readonly definition?: AttachmentDefinition;
  readonly network?: CniNetwork;
  readonly problems: readonly CniProblem[];
  /** The configuration as written; absent where it is no JSON object. */
  readonly value?: JsonObject;
  /** A finding at a place of the configuration. */
  finding(at: FieldPath, statement: Statement, part?: "key" | "value"): Finding;
  /** A finding at a problem of the configuration. */
  problemFinding(problem: CniProblem, statement: Statement): Finding;
}

const CONFIG = ["spec", "config"];

/** The configuration of a definition: places are those within the text of `spec.config`, where they can be told. */
export function definitionSource(definition: AttachmentDefinition): CniSource {
  const { document, network, problems } = definition;
  const config = document.source(CONFIG) ?? "";
  const within = (offset: number, length: number, statement: Statement): Finding => ({
    ...findingAt(document, CONFIG, statement),
    ...document.within(CONFIG, offset, length),
  });
  const finding: CniSource["finding"] = (at, statement, part = "value") => {
    const place = placeIn(config, at, part);
    return within(place === undefined ? 0 : offsetOf(config, place), place?.length ?? 1, statement);
  };
  return {
    file: document.file,
    name: `The CNI configuration of ${definition.namespace}/${definition.name}`,
    definition,
    ...(network === undefined ? {} : { network }),
    problems,
    ...writtenObject(config),
    finding,
    problemFinding: ({ path, line, column }, statement) =>
      line === undefined || column === undefined
        ? finding(parseFieldPath(path), statement)
        : within(offsetOf(config, { line, column }), 1, statement),
  };
}

/** A file of a CNI configuration folder. */
export function fileSource({ file, reading, document }: CniFile): CniSource {
  const { network, problems } = reading;
  const start: Position = { line: 1, column: 1, length: 1 };
  const places = document ?? {
    file,
    value: {},
    position: () => start,
    source: () => undefined,
    within: () => undefined,
  };
  return {
    file,
    name: `The CNI configuration ${file}`,
    ...(network === undefined ? {} : { network }),
    problems,
    ...(document === undefined ? {} : { value: document.value }),
    finding: (at, statement, part = "value") => findingAt(places, at, statement, { part }),
    problemFinding: ({ path, line, column }, statement) => {
      const finding = findingAt(places, parseFieldPath(path), statement);
      return line === undefined || column === undefined ? finding : { ...finding, line, column, length: 1 };
    },
  };
}

/** A plugin of a source, and where it stands in the configuration. */
export interface PlacedPlugin {
  readonly plugin: CniPlugin;
  readonly at: FieldPath;
}

/** The plugins of a source: those of its list, or the one that the whole is. The first makes the link. */
export function placedPlugins({ value, network }: CniSource): readonly PlacedPlugin[] {
  const isList = value !== undefined && Object.hasOwn(value, "plugins");
  return (network?.plugins ?? []).map((plugin, index) => ({ plugin, at: isList ? ["plugins", index] : [] }));
}

function writtenObject(config: string): { readonly value?: JsonObject } {
  const reading = readJson(config);
  return "value" in reading && isJsonObject(reading.value) ? { value: reading.value } : {};
}

/** Where a field stands in a JSON text, which is YAML as well. */
function placeIn(json: string, at: FieldPath, part: "key" | "value"): Position | undefined {
  return readManifests(json, "config.yaml").documents[0]?.position(at, part);
}

function offsetOf(text: string, { line, column }: { readonly line: number; readonly column: number }): number {
  const before = text.split("\n").slice(0, line - 1);
  return before.reduce((sum, { length }) => sum + length + 1, 0) + column - 1;
}

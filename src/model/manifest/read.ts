import { type Document, LineCounter, parseAllDocuments, type Tags, type YAMLError } from "yaml";
import type { FieldPath } from "../api/field-path.ts";
import { isJsonObject } from "../json.ts";
import { type CniFile, cniFileOf, isCniFile } from "./cni-file.ts";
import type { ManifestDocument, Position } from "./document.ts";
import { duplicateKeys } from "./duplicate-keys.ts";
import type { Finding } from "./finding.ts";
import { numberTags } from "./numbers.ts";
import { placeOf, placeWithin, type Span, sourceOf } from "./position.ts";

export interface Manifests {
  readonly documents: readonly ManifestDocument[];
  /** The file as a CNI configuration, where it is one. */
  readonly cniFile?: CniFile;
  /** Why documents are missing above. */
  readonly findings: readonly Finding[];
}

/** As much as an API server takes in one request. */
export const LARGEST_MANIFEST = 3 * 1024 * 1024;
/** So many brackets in a row take the parser long, and no manifest has them. */
const DEEP = /(?:[[{][ \n]*){200}/;
const MOST_ALIASES = 100;
const MOST_SYNTAX_ERRORS = 10;

/**
 * The documents of a YAML or JSON file, read as kubectl reads them. Never throws.
 *
 * A `.conf` or `.conflist` is a CNI configuration, and so is JSON that has no kind and looks like one.
 * YAML 1.1's booleans and octal numbers hold, its base-60 numbers, bare exponents and dates do not (a MAC is text, and
 * so is `e1000`). Anchors, aliases and
 * merge keys are followed. A `List` is opened. Documents with faults are left out, each with its findings.
 */
export function readManifests(text: string, file: string): Manifests {
  const refuse = (code: Finding["code"], message: string, expected: string, hint = ""): Manifests => ({
    documents: [],
    findings: [{ code, severity: "error", path: "", file, line: 1, column: 1, message, expected, hint, length: 1 }],
  });
  if (text.length > LARGEST_MANIFEST) {
    return refuse(
      "PB1006",
      `${file} is larger than ${LARGEST_MANIFEST / 1024 / 1024} MiB.`,
      `at most ${LARGEST_MANIFEST / 1024 / 1024} MiB`,
      "Split it into several files.",
    );
  }
  if (text.includes("\u0000")) return refuse("PB1001", `${file} holds bytes that no YAML or JSON text has.`, TEXT);
  if (DEEP.test(text)) return refuse("PB1006", `${file} nests too deep.`, SHALLOW);
  try {
    const read = readDocuments(text, file);
    return isCniFile(file, text, read)
      ? { documents: [], findings: [], cniFile: cniFileOf(file, text, read.documents[0]) }
      : read;
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return refuse("PB1001", `${file} cannot be read: ${reason}`, TEXT);
  }
}

function readDocuments(text: string, file: string): Manifests {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    version: "1.1",
    customTags: (tags: Tags) => [...tags.filter((tag) => !NOT_READ.has(tagName(tag))), ...numberTags],
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: "error",
  });
  const documents: ManifestDocument[] = [];
  const findings: Finding[] = [];
  for (const document of Array.isArray(parsed) ? parsed : []) {
    const errors = document.errors.length > 0 ? document.errors : duplicateKeys(document);
    if (errors.length > 0) {
      const exhausted = errors.filter((error) => error.code === "RESOURCE_EXHAUSTION");
      const told = exhausted.length > 0 ? exhausted.slice(0, 1) : errors.slice(0, MOST_SYNTAX_ERRORS);
      findings.push(...told.map((error) => syntaxFinding(error, lines, text, file)));
      continue;
    }
    const value = contentOf(document);
    const place = (at: FieldPath, part: "key" | "value"): Position => positionOf(lines, placeOf(document, at, part));
    const within = (at: FieldPath, offset: number, length: number): Position | undefined => {
      const span = placeWithin(document, text, at, offset, length);
      return span === undefined ? undefined : positionOf(lines, span);
    };
    const refuse = (code: Finding["code"], message: string, expected: string, hint: string): void => {
      const { line, column, length } = place([], "value");
      findings.push({ code, severity: "error", path: "", file, line, column, message, expected, hint, length });
    };
    if (value instanceof Error) {
      const message = `The document cannot be opened up: ${value.message}.`;
      refuse("PB1006", message, `at most ${MOST_ALIASES} uses of aliases`, "Write it with fewer aliases.");
    } else if (value !== null && value !== undefined) {
      if (isJsonObject(value)) documents.push(...openList(document, value, file, { place, within }));
      else refuse("PB1008", "The document is no object.", "an object", 'Begin it with "apiVersion:" and "kind:".');
    }
  }
  return { documents, findings };
}

/** One document, or the items of a `List`. */
function openList(
  document: Document.Parsed,
  value: Readonly<Record<string, unknown>>,
  file: string,
  { place, within }: { readonly place: ManifestDocument["position"]; readonly within: ManifestDocument["within"] },
): ManifestDocument[] {
  const at = (base: FieldPath, part: Readonly<Record<string, unknown>>): ManifestDocument => ({
    file,
    value: part,
    position: (keys, of) => place([...base, ...keys], of),
    source: (keys) => sourceOf(document, [...base, ...keys]),
    within: (keys, offset, length) => within([...base, ...keys], offset, length),
  });
  const items = value["items"];
  if (value["kind"] !== "List" || !Array.isArray(items)) return [at([], value)];
  return items.flatMap((item, index) => (isJsonObject(item) ? [at(["items", index], item)] : []));
}

/** Tags of YAML 1.1 that Kubernetes' reader does not apply, or applies to other words. */
const NOT_READ = new Set(
  ["binary", "float", "int", "omap", "pairs", "set", "timestamp"].map((name) => `tag:yaml.org,2002:${name}`),
);

type Tag = Tags[number];

function tagName(tag: Tag): string {
  return typeof tag === "string" ? tag : tag.tag;
}

function contentOf(document: Document.Parsed): unknown {
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES });
  } catch (thrown) {
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  }
}

const TEXT = "YAML or JSON as UTF-8 text";
const SHALLOW = "fewer than 200 brackets in a row";

/** The cure of a fault that the parser's message does not already say. */
const CURES: Partial<Readonly<Record<YAMLError["code"], string>>> = {
  BAD_ALIAS: "Name an anchor that stands above, or put the text into quotes.",
  BAD_DQ_ESCAPE: "Write a backslash twice, or use single quotes.",
  BAD_INDENT: "Indent it as what belongs beside it.",
  BAD_SCALAR_START: "Put the text into quotes.",
  BLOCK_AS_IMPLICIT_KEY: "Put a text with a colon in it into quotes; begin a nested object on a line of its own.",
  BLOCK_IN_FLOW: "Within braces and brackets separate by commas.",
  MISSING_CHAR: "Add what is missing; a text with a colon in it wants quotes.",
  MULTILINE_IMPLICIT_KEY: 'Write "key: value" in one line, and indent what belongs to it.',
  UNEXPECTED_TOKEN: "Remove it, or put the text around it into quotes.",
};

function syntaxFinding(error: YAMLError, lines: LineCounter, text: string, file: string): Finding {
  // What is missing at the end of the file is missing after its last letter, not on the empty line below.
  const end = text.trimEnd().length;
  const start = Math.min(error.pos[0], end);
  const { line, column, length } = positionOf(lines, { start, end: Math.max(start, Math.min(error.pos[1], end)) });
  const base = { severity: "error", path: "", file, line, column, length } as const;
  switch (error.code) {
    case "RESOURCE_EXHAUSTION":
      return { ...base, code: "PB1006", message: "The document nests too deep.", expected: SHALLOW, hint: "" };
    case "DUPLICATE_KEY": {
      const message = "This key stands twice in one object.";
      return { ...base, code: "PB1007", message, expected: "each key once", hint: "Keep one of them." };
    }
    case "TAB_AS_INDENT": {
      const message = "A tab indents this line.";
      return { ...base, code: "PB1001", message, expected: "blanks", hint: "Indent with blanks." };
    }
    default: {
      const message = `This is not valid YAML: ${lowerFirst(error.message)}.`;
      return { ...base, code: "PB1001", message, expected: "YAML or JSON", hint: CURES[error.code] ?? "" };
    }
  }
}

function lowerFirst(message: string): string {
  const text = message.replace(/\.$/, "");
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
}

/** A span as a stretch of the line it begins on. */
function positionOf(lines: LineCounter, span: Span): Position {
  const start = lines.linePos(span.start);
  const end = lines.linePos(Math.max(span.start, span.end));
  const length = end.line === start.line ? end.col - start.col : 1;
  return { line: Math.max(1, start.line), column: Math.max(1, start.col), length: Math.max(1, length) };
}

import { type Code, codes } from "../codes/codes.ts";
import type { Finding } from "./finding.ts";

/** What the report says of the program that made it. */
export interface SarifTool {
  readonly version: string;
  /** The page of a code, as Markdown; undefined where it is not at hand. */
  readonly page: (code: Code) => string | undefined;
}

const SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
const LEVELS = { error: "error", warning: "warning", info: "note" } as const;

/**
 * Findings as a SARIF 2.1.0 log (OASIS): one run, a rule for each code that was found, a result for each finding.
 *
 * Columns count UTF-16 units, and `endColumn` is the one after the last. Files are named relative to where the program
 * ran, absolute paths as `file:` URIs.
 */
export function sarifLog(findings: readonly Finding[], tool: SarifTool): object {
  const found = [...new Set(findings.map(({ code }) => code))].sort();
  return {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "Patchbay",
            semanticVersion: tool.version,
            rules: found.map((code) => ruleOf(code, tool.page(code))),
          },
        },
        columnKind: "utf16CodeUnits",
        results: findings.map((finding) => resultOf(finding, found.indexOf(finding.code))),
      },
    ],
  };
}

function ruleOf(code: Code, page: string | undefined): object {
  const title = sentence(codes[code]);
  const path = `docs/findings/${code}.md`;
  return {
    id: code,
    shortDescription: { text: title },
    help: {
      text: `${title} See ${path}, or run: patchbay validate --explain ${code}`,
      ...(page === undefined ? {} : { markdown: page }),
    },
    properties: { page: path },
  };
}

function resultOf(finding: Finding, ruleIndex: number): object {
  const { code, severity, path, file, line, column, length } = finding;
  return {
    ruleId: code,
    ruleIndex,
    level: LEVELS[severity],
    message: { text: messageOf(finding) },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(file) },
          region: { startLine: line, startColumn: column, endLine: line, endColumn: column + length },
        },
        ...(path === "" ? {} : { logicalLocations: [{ fullyQualifiedName: path }] }),
      },
    ],
  };
}

function messageOf({ message, expected, hint }: Finding): string {
  return [
    message,
    ...(expected === "" ? [] : [sentence(`expected: ${expected}`)]),
    ...(hint === "" ? [] : [sentence(hint)]),
  ].join(" ");
}

function sentence(text: string): string {
  const end = /[.?!]$/.test(text) ? "" : ".";
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${end}`;
}

/** A file's name as a URI reference (RFC 3986): a path of segments, none of which can be taken for a scheme. */
function uriOf(file: string): string {
  const path = file
    .replace(/^(?:\.\/+)+/, "")
    .split("/")
    .map(escaped)
    .join("/");
  return file.startsWith("/") ? `file://${path}` : path;
}

/** Names of files need not be valid UTF-16, which `encodeURIComponent` insists on. */
function escaped(segment: string): string {
  return encodeURIComponent(segment.toWellFormed());
}

import { codes } from "../codes/codes.ts";
import type { Finding } from "./finding.ts";

const LONGEST_LINE = 160;

interface Paint {
  readonly severity: (severity: Finding["severity"], text: string) => string;
  readonly dim: (text: string) => string;
  readonly hint: (text: string) => string;
}

const PLAIN: Paint = { severity: (_, text) => text, dim: (text) => text, hint: (text) => text };

const ESCAPE = "\u001b[";
const COLOURS = { error: "1;31", warning: "1;33", info: "1;36" } as const;
const COLOURED: Paint = {
  severity: (severity, text) => `${ESCAPE}${COLOURS[severity]}m${text}${ESCAPE}0m`,
  dim: (text) => `${ESCAPE}2m${text}${ESCAPE}0m`,
  hint: (text) => `${ESCAPE}32m${text}${ESCAPE}0m`,
};

/**
 * A finding as text: severity, code and title, place, the line of the source with a caret, what was expected, the hint.
 *
 * `source` is the text of the finding's file; without it the line is left out.
 */
export function renderFinding(
  finding: Finding,
  options: { readonly source?: string; readonly colour?: boolean } = {},
): string {
  const paint = options.colour === true ? COLOURED : PLAIN;
  const place = `${printable(finding.file)}:${finding.line}:${finding.column}`;
  const parts = [
    `${paint.severity(finding.severity, `${finding.severity} ${finding.code}`)}: ${codes[finding.code]}`,
    `  ${paint.dim("-->")} ${place}`,
    ...excerpt(finding, options.source, paint),
    `  ${printable(finding.message)}`,
  ];
  if (finding.expected !== "") parts.push(`  ${paint.dim("expected:")} ${printable(finding.expected)}`);
  if (finding.hint !== "") parts.push(`  ${paint.dim("hint:")} ${paint.hint(printable(finding.hint))}`);
  return `${parts.join("\n")}\n`;
}

function excerpt(finding: Finding, source: string | undefined, paint: Paint): string[] {
  const line = source?.split("\n")[finding.line - 1];
  if (line === undefined || line.trim() === "") return [];
  // A long line is cut to a window around the place.
  const from = finding.column > LONGEST_LINE - 40 ? finding.column - 40 : 0;
  const shown = printable(line.slice(from, from + LONGEST_LINE).trimEnd());
  const start = finding.column - 1 - from;
  const length = Math.max(1, Math.min(finding.length, shown.length - start));
  const number = String(finding.line).padStart(4);
  return [
    `${paint.dim(`${number} |`)} ${shown}`,
    `${paint.dim(`${" ".repeat(number.length)} |`)} ${" ".repeat(Math.max(0, start))}${paint.severity(finding.severity, "^".repeat(length))}`,
  ];
}

/** Text without what a terminal would act on; tabs as one blank, so that carets line up. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal
  return text.replace(/\t/g, " ").replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** How many of each, as one line. */
export function renderSummary(findings: readonly Finding[]): string {
  const count = (severity: Finding["severity"]): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const words = (["error", "warning", "info"] as const).flatMap((severity) => {
    const number = count(severity);
    return number === 0 ? [] : [`${number} ${severity}${number === 1 || severity === "info" ? "" : "s"}`];
  });
  return words.length === 0 ? "no findings" : words.join(", ");
}

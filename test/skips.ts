import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Skipped } from "./file-run.ts";
import { skipMark } from "./needs.ts";

/** The names in test/skips.txt; a line is a test's full name, and ` # ` begins the reason that must follow it. */
export function expectedSkips(): readonly string[] {
  const text = readFileSync(join(import.meta.dirname, "skips.txt"), "utf8");
  return text.split("\n").flatMap((line) => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const [name = "", reason = ""] = line.split(" # ");
    if (reason.trim() === "") throw new Error(`test/skips.txt: "${line}" gives no reason after " # "`);
    return [name.trim()];
  });
}

/**
 * What is wrong with the skips of a run, as sentences: one that did not go through `needs`, and, where the list is
 * binding, one that is not listed or was listed and ran.
 */
export function unexpectedSkips(
  skipped: readonly Skipped[],
  listed: readonly string[],
  binding: boolean,
): readonly string[] {
  const told = skipped
    .filter(({ reason }) => !reason.startsWith(skipMark))
    .map(({ name }) => `${name} was skipped without a probe of test/needs.ts`);
  if (!binding) return told;
  const names = new Set(skipped.map(({ name }) => name));
  for (const name of names) if (!listed.includes(name)) told.push(`${name} was skipped and is not in test/skips.txt`);
  for (const name of listed) if (!names.has(name)) told.push(`${name} is in test/skips.txt and was not skipped`);
  return told;
}

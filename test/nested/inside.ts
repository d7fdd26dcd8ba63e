// Runs in the nested machine: each test file, one after the other, and looks at what they leave behind.
import { globSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type FileResult, resultLines, runFile } from "../file-run.ts";
import { lastingDifferences, snapshot } from "../leftovers.ts";
import { wrongStatements } from "../statements.ts";

const root = join(import.meta.dirname, "../..");
const limits = { test: 1_700_000, file: 1_750_000 };

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(named: readonly string[]): Promise<number> {
  const files = named.length > 0 ? named.map((file) => resolve(file)) : globSync(join(root, "test/nested/*.test.ts"));
  const scratch = mkdtempSync(join(tmpdir(), "patchbay-tests-"));
  const before = snapshot();
  const results: FileResult[] = [];
  let [passed, failed] = [0, 0];
  for (const file of files.sort()) {
    const result = await runFile(file, root, scratch, limits);
    results.push(result);
    for (const line of resultLines(result)) tell(line);
    // Here is all that the tests need.
    for (const { name, reason } of result.skipped) tell(`✖ ${name} was skipped: ${reason}`);
    passed += result.passed;
    failed += result.failures.length + result.skipped.length;
  }
  const left = await lastingDifferences(before);
  for (const line of left) tell(`✖ ${line}`);
  const wrong = wrongStatements(results, true);
  for (const line of wrong) tell(`✖ ${line}`);
  tell(`ℹ tests ${passed + failed}`);
  tell(`ℹ pass ${passed}`);
  tell(`ℹ fail ${failed}`);
  return passed > 0 && failed === 0 && left.length === 0 && wrong.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

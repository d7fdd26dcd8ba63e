import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type FileResult, resultLines, runFile } from "../file-run.ts";
import { wrongStatements } from "../statements.ts";
import { debianImages } from "./debian-image.ts";

const root = join(import.meta.dirname, "../..");
/** One of its four quarters is part of all tests' run; here it is whole. */
const AS_THEY_STAND = join(root, "test/guest/as-they-stand.test.ts");
/** Milliseconds; a Debian guest without KVM takes a minute to boot, and some files have many. */
const LIMITS = { test: 600_000, file: 2_400_000 };

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Runs the tests with the Debian guest, those of the named files where some are named; answers the exit code. */
async function main(named: readonly string[]): Promise<number> {
  if (process.getuid?.() !== 0) {
    tell("✖ not root: the Debian guest is made, and its guests are run, as root");
    return 1;
  }
  const began = performance.now();
  process.env["PATCHBAY_TEST_QUARTER"] ??= "all";
  await debianImages(tell);
  const files =
    named.length > 0
      ? named.map((file) => resolve(file))
      : [AS_THEY_STAND, ...globSync(join(root, "test/documents/*.test.ts"))];
  const scratch = mkdtempSync(join(tmpdir(), "patchbay-documents-"));
  const results: FileResult[] = [];
  let failures = 0;
  let passed = 0;
  try {
    for (const file of files.sort()) {
      const result = await runFile(file, root, scratch, LIMITS);
      for (const line of resultLines(result)) tell(line);
      results.push(result);
      failures += result.failures.length + result.skipped.length;
      passed += result.passed;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const wrong = wrongStatements(results, true);
  for (const line of wrong) tell(`✖ ${line}`);
  tell(`ℹ ${passed} passed, ${failures} failed or skipped, in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  return failures === 0 && wrong.length === 0 && passed > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

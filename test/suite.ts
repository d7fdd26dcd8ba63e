import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { quarters } from "./documents/quarter.ts";
import { type FileResult, type Limits, resultLines, runFile } from "./file-run.ts";
import { lastingDifferences, snapshot } from "./leftovers.ts";
import { expectedSkips, unexpectedSkips } from "./skips.ts";
import { wrongStatements } from "./statements.ts";

const root = join(import.meta.dirname, "..");
const node = process.execPath;

interface Level {
  readonly name: string;
  readonly patterns: readonly string[];
  /** The files that take longest, which begin: else the last of them ends alone. */
  readonly first?: readonly string[];
  /** How many files run at once. */
  readonly width: number;
  readonly limits: Limits;
}

const cores = availableParallelism();

// A guest without KVM keeps one core busy while it boots, and waits for the most part afterwards.
const levels: readonly Level[] = [
  {
    name: "unit",
    patterns: ["src/**/*.test.ts", "test/*.test.ts"],
    first: ["test/package.test.ts", "test/file-run.test.ts"],
    width: cores,
    limits: { test: 240_000, file: 360_000 },
  },
  {
    name: "kernel",
    patterns: ["test/kernel/*.test.ts"],
    first: ["compliance", "bridge", "failures", "churn", "setup"].map((name) => `test/kernel/${name}.test.ts`),
    width: cores,
    limits: { test: 240_000, file: 600_000 },
  },
  {
    name: "guest",
    patterns: ["test/guest/*.test.ts"],
    first: ["networks", "guest-agent", "vm", "passt", "pxe", "adoption", "macvtap"].map(
      (name) => `test/guest/${name}.test.ts`,
    ),
    width: cores,
    limits: { test: 600_000, file: 900_000 },
  },
];

const checks: readonly { readonly name: string; readonly argv: readonly [string, ...string[]] }[] = [
  { name: "types", argv: ["node_modules/.bin/tsc"] },
  {
    name: "style",
    argv: ["node_modules/.bin/biome", "check", "--error-on-warnings", "--max-diagnostics=30", "--colors=off"],
  },
  { name: "layers", argv: [node, "test/layers.ts"] },
];

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

function runCheck(name: string, [program, ...args]: readonly [string, ...string[]]): boolean {
  const began = performance.now();
  const run = spawnSync(program, args, { cwd: root, encoding: "utf8", timeout: 300_000 });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  tell(`${run.status === 0 ? "✔" : "✖"} ${name} (${seconds} s)`);
  if (run.status === 0) return true;
  const said = `${run.stdout}${run.stderr}${run.error?.message ?? ""}`.trimEnd().split("\n");
  for (const line of said.slice(0, 120)) tell(`    ${line}`);
  if (said.length > 120) tell(`    [${said.length - 120} lines left out]`);
  return false;
}

function isDebian(): boolean {
  return existsSync("/etc/os-release") && /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"));
}

/** Brings what the machine lacks, where that is possible; tells what is skipped where it is not. */
function setUp(): boolean {
  if (process.getuid?.() !== 0) {
    tell("ℹ not root: nothing is installed, and the tests that need root, namespaces or QEMU are skipped");
    return true;
  }
  const run = spawnSync(join(root, "patchbay"), ["setup"], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  if (run.status === 0) return true;
  tell(run.stdout.toString("utf8").trimEnd());
  // Elsewhere the tests whose probes find nothing are skipped, and listed.
  if (isDebian()) return false;
  tell("ℹ this is not Debian: the tests that need what is missing are skipped");
  return true;
}

/** The files of a level, in the order to begin them. */
function filesOf({ name, patterns, first = [] }: Level): readonly string[] {
  const files = new Set(patterns.flatMap((pattern) => globSync(join(root, pattern))).sort());
  const begin = first.map((file) => join(root, file));
  const absent = begin.filter((file) => !files.has(file));
  if (absent.length > 0) throw new Error(`no file of the level ${name}: ${absent.join(", ")}`);
  return [...new Set([...begin, ...files])];
}

/** Runs a level's files, some at once, and tells of each as it ends. */
async function runLevel(level: Level, scratch: string): Promise<readonly FileResult[]> {
  const files = filesOf(level);
  tell(`▶ ${level.name}: ${files.length} files, ${level.width} at once`);
  const results: FileResult[] = [];
  const waiting = files.values();
  const work = async (): Promise<void> => {
    for (const file of waiting) {
      const result = await runFile(file, root, scratch, level.limits);
      for (const line of resultLines(result)) tell(line);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: level.width }, work));
  return results;
}

function tellSkips(results: readonly FileResult[]): boolean {
  const skipped = results.flatMap((result) => result.skipped);
  if (skipped.length > 0) tell(`ℹ skipped, ${skipped.length}:`);
  for (const { name, reason } of skipped) tell(`    ${name}: ${reason}`);
  const wrong = unexpectedSkips(skipped, expectedSkips(), isDebian12Root());
  for (const line of wrong) tell(`✖ ${line}`);
  return wrong.length === 0;
}

/** Holds docs/documents.md against the tests that ran. */
function tellStatements(results: readonly FileResult[]): boolean {
  const wrong = wrongStatements(results, isDebian12Root());
  for (const line of wrong) tell(`✖ ${line}`);
  return wrong.length === 0;
}

function isDebian12Root(): boolean {
  return process.getuid?.() === 0 && isDebian() && /^VERSION_ID="?12"?$/m.test(readFileSync("/etc/os-release", "utf8"));
}

function tellCounts(results: readonly FileResult[], began: number): void {
  const passed = results.reduce((sum, each) => sum + each.passed, 0);
  const failed = results.reduce((sum, each) => sum + each.failures.length, 0);
  const skipped = results.reduce((sum, each) => sum + each.skipped.length, 0);
  const todo = results.reduce((sum, each) => sum + each.todo.length, 0);
  tell(`ℹ tests ${passed + failed + skipped + todo}`);
  for (const [name, count] of Object.entries({ pass: passed, fail: failed, skipped, todo })) tell(`ℹ ${name} ${count}`);
  tell(`ℹ duration_ms ${(performance.now() - began).toFixed(0)}`);
}

/** Runs the chosen parts, all of them when none is named; answers the exit code. */
async function main(chosen: readonly string[]): Promise<number> {
  const known = ["check", ...levels.map(({ name }) => name)];
  const unknown = chosen.filter((part) => !known.includes(part));
  if (unknown.length > 0) {
    process.stderr.write(`test/run: no part is called ${unknown.join(", ")}; the parts are ${known.join(", ")}\n`);
    return 2;
  }
  const wanted = (part: string): boolean => chosen.length === 0 || chosen.includes(part);
  const began = performance.now();
  const failed: string[] = [];
  if (!setUp()) failed.push("setup");
  if (wanted("guest")) tell(`ℹ of the documents' manifests: quarter ${quarters().join(", ")} of 4`);
  if (wanted("check")) for (const { name, argv } of checks) if (!runCheck(name, argv)) failed.push(name);
  const results: FileResult[] = [];
  const before = snapshot();
  const scratch = mkdtempSync(join(tmpdir(), "patchbay-tests-"));
  try {
    for (const level of levels.filter(({ name }) => wanted(name))) {
      const some = await runLevel(level, scratch);
      if (some.length === 0) tell(`✖ no test file matches ${level.patterns.join(", ")}`);
      if (some.length === 0 || some.some(({ failures }) => failures.length > 0)) failed.push(level.name);
      results.push(...some);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const left = await lastingDifferences(before);
  for (const line of left.slice(0, 60)) tell(`✖ ${line}`);
  if (left.length > 0) failed.push("the machine was not left as it was");
  if (chosen.length === 0 && !tellSkips(results)) failed.push("skips");
  if (!tellStatements(results)) failed.push("statements");
  tellCounts(results, began);
  tell(failed.length === 0 ? "✔ passed" : `✖ failed: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { FileEvent } from "./events.ts";

/** One test that was skipped, with the reason it gave. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** What became of one test file. */
export interface FileResult {
  readonly file: string;
  readonly passed: number;
  /** The own names of the tests that passed, without those that they are in. */
  readonly names: readonly string[];
  /** Likewise of those that were skipped. */
  readonly skippedNames: readonly string[];
  readonly skipped: readonly Skipped[];
  readonly todo: readonly string[];
  readonly failures: readonly { readonly name: string; readonly text: string }[];
  readonly milliseconds: number;
}

/** Limits of a test file, in milliseconds: of each test, and of the whole file's process. */
export interface Limits {
  readonly test: number;
  readonly file: number;
}

const mostOutput = 8_000;

/** The end of a long text, so that one file cannot drown the others. */
function bounded(text: string): string {
  return text.length <= mostOutput
    ? text
    : `[${text.length - mostOutput} characters left out] …${text.slice(-mostOutput)}`;
}

function readEvents(file: string): readonly FileEvent[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  // The line that a killed process was writing may be cut.
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return lines.filter((line) => line !== "").map((line): FileEvent => JSON.parse(line));
}

function unended(events: readonly FileEvent[]): readonly string[] {
  const open = new Set<string>();
  for (const { type, path } of events) {
    const name = path.join(" > ");
    if (type === "start") open.add(name);
    else open.delete(name);
  }
  return [...open];
}

/** Why a file failed as a whole though none of its tests did; undefined when it did not. */
function fileFailure(ended: Ended, events: readonly FileEvent[], failed: number, limits: Limits): string | undefined {
  if (ended.overdue) {
    const open = unended(events);
    const begun = events.some(({ type }) => type === "start");
    const where = !begun
      ? "no test of it ended: one computes without end, or the file never came to its tests"
      : open.length > 0
        ? `not ended: ${open.join("; ")}`
        : "its tests ended, but a handle that they opened (a socket, timer or process) keeps the process alive";
    return `The file did not end within ${limits.file / 1000} s: ${where}.`;
  }
  if (ended.status === 0) {
    return events.some(({ type }) => type === "pass") || failed > 0 ? undefined : "The file holds no test.";
  }
  if (failed > 0) return undefined;
  const notes = events.filter(({ type }) => type === "note").map(({ text }) => text);
  return [`The process ended with ${ended.signal ?? `status ${ended.status}`}.`, ...notes].join("\n");
}

interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly overdue: boolean;
  readonly output: string;
}

/** Runs a file in a process of its own; one that does not end is stopped, and then killed. */
async function runProcess(file: string, events: string, root: string, limits: Limits): Promise<Ended> {
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      `--test-timeout=${limits.test}`,
      `--test-reporter=${join(root, "test/events.ts")}`,
      `--test-reporter-destination=${events}`,
      file,
    ],
    {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, NODE_TEST_CONTEXT: undefined },
    },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output = `${output}${text}`.slice(-4 * mostOutput);
    });
  }
  let overdue = false;
  const kill = setTimeout(() => child.kill("SIGKILL"), limits.file + 10_000);
  const stop = setTimeout(() => {
    overdue = true;
    child.kill("SIGTERM");
  }, limits.file);
  try {
    return await new Promise<Ended>((resolve, reject) => {
      child.on("error", reject);
      // Not "close": a process that a test left behind may hold the pipes open.
      child.on("exit", (status, signal) => setImmediate(() => resolve({ status, signal, overdue, output })));
    });
  } finally {
    clearTimeout(stop);
    clearTimeout(kill);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** Runs one test file and answers what became of it. `scratch` is an existing folder for the events. */
export async function runFile(file: string, root: string, scratch: string, limits: Limits): Promise<FileResult> {
  const short = relative(root, file);
  const eventsFile = join(scratch, `${short.replaceAll("/", "-")}.events`);
  const began = performance.now();
  const ended = await runProcess(file, eventsFile, root, limits);
  const events = readEvents(eventsFile);
  const tests = events.filter(({ type, suite }) => (type === "pass" || type === "fail") && !suite);
  const name = (event: FileEvent): string => `${short} > ${event.path.join(" > ")}`;
  const failures = tests
    .filter(({ type, todo }) => type === "fail" && !todo)
    .map((event) => ({ name: name(event), text: bounded(event.text) }));
  const whole = fileFailure(ended, events, failures.length, limits);
  if (whole !== undefined) failures.push({ name: short, text: whole });
  const first = failures[0];
  if (first !== undefined && ended.output.trim() !== "") {
    failures[0] = { name: first.name, text: `${first.text}\nthe file printed:\n${bounded(ended.output.trimEnd())}` };
  }
  const ownName = ({ path }: FileEvent): string => path.at(-1) ?? "";
  const passed = tests.filter(({ type, skip, todo }) => type === "pass" && skip === null && !todo);
  return {
    file: short,
    passed: passed.length,
    names: passed.map(ownName),
    skippedNames: tests.filter(({ skip }) => skip !== null).map(ownName),
    skipped: tests.flatMap((event) => (event.skip === null ? [] : [{ name: name(event), reason: event.skip }])),
    todo: tests.filter(({ todo }) => todo).map(name),
    failures,
    milliseconds: performance.now() - began,
  };
}

/** What a result says to who reads along. */
export function resultLines(result: FileResult): readonly string[] {
  const mark = result.failures.length > 0 ? "✖" : "✔";
  const skipped = result.skipped.length === 0 ? "" : `, ${result.skipped.length} skipped`;
  const failed = result.failures.length === 0 ? "" : `, ${result.failures.length} FAILED`;
  return [
    `${mark} ${result.file} (${result.passed} passed${skipped}${failed}, ${(result.milliseconds / 1000).toFixed(1)} s)`,
    ...result.failures.flatMap(({ name, text }) => [`  ✖ ${name}`, ...text.split("\n").map((line) => `      ${line}`)]),
  ];
}

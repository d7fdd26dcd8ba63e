import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Fault } from "../../model/fault.ts";
import { noRoom } from "../full-disk.ts";

/** How a program of the host is run. */
export interface RunOptions {
  readonly cwd?: string;
  /** Added to the daemon's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** It is ended after this. */
  readonly timeoutMs?: number;
}

const MOST_WORDS = 64 * 1024;
/** No program used here prints more: the largest is an uncompressed kernel. */
const MOST_OUTPUT = 512 * 1024 * 1024;

/**
 * Runs a program to its end and gives its standard output.
 *
 * Fails with PB5005 where it is missing or ends with an error (with its last words), PB5007 where the disk is full.
 */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      {
        encoding: "buffer",
        maxBuffer: MOST_OUTPUT,
        env: { ...process.env, LC_ALL: "C", ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
        ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(programFault(program, args, error, stderr.toString()));
      },
    );
  });
}

/** A program that runs. */
export interface RunningProgram {
  /** Fails as {@link runProgram} does. */
  readonly ended: Promise<void>;
  end(): void;
}

/** Runs a program whose lines on standard output are wanted as they come. */
export function watchProgram(
  program: string,
  args: readonly string[],
  options: {
    readonly onLine: (line: string) => void;
    readonly signal?: AbortSignal;
    /** Added to the daemon's own environment. */
    readonly env?: Readonly<Record<string, string>>;
    /** What ends it; SIGTERM where nothing is said. */
    readonly killSignal?: NodeJS.Signals;
  },
): RunningProgram {
  const env = { ...process.env, LC_ALL: "C", ...options.env };
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const end = (): void => void child.kill(options.killSignal ?? "SIGTERM");
  options.signal?.addEventListener("abort", end, { once: true });
  if (options.signal?.aborted === true) end();
  createInterface(child.stdout).on("line", options.onLine);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = `${stderr}${text}`.slice(-MOST_WORDS);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", (error) => reject(programFault(program, args, error, stderr)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(programFault(program, args, new Error(`it ended with ${signal ?? `status ${code}`}`), stderr));
    });
  }).finally(() => options.signal?.removeEventListener("abort", end));
  return { ended, end };
}

function programFault(program: string, args: readonly string[], error: Error, stderr: string): Fault {
  const data = { program, args };
  if ("code" in error && error.code === "ENOENT") {
    return new Fault("PB5005", `The program ${program} is not on this machine.`, {
      cure: "Run `patchbay setup`, which installs what is missing.",
      place: program,
      data,
      cause: error,
    });
  }
  const isOverdue = "killed" in error && error.killed === true && !("name" in error && error.name === "AbortError");
  const words = isOverdue ? "it timed out" : stderr.trim().split("\n").slice(-4).join(" ") || error.message;
  if (/no space left on device|disk quota exceeded|ENOSPC/i.test(words)) return noRoom(words, error);
  return new Fault("PB5005", `${program} failed: ${words}.`, {
    place: program,
    data: { ...data, words },
    cause: error,
  });
}

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type KubectlVersion, kubectlBinary } from "../kubectls.ts";

export interface KubectlRun {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** One version of kubectl with a home of its own, for a server that lives in the test's process. */
export interface Kubectl {
  /** Runs it to its end. */
  run(args: readonly string[], input?: string): Promise<KubectlRun>;
  /** The output of a run that must succeed. */
  ok(args: readonly string[], input?: string): Promise<string>;
  /** Starts it; it is stopped by {@link Kubectl.stop}. */
  start(args: readonly string[]): Promise<ChildProcess>;
  stop(): void;
}

export function makeKubectl(version: KubectlVersion, folder: string, kubeconfig: () => string): Kubectl {
  const children = new Set<ChildProcess>();
  const home = join(folder, "home");
  mkdirSync(home, { recursive: true });

  async function start(args: readonly string[]) {
    const env = { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig() };
    const child = spawn(await kubectlBinary(version), args, { env, stdio: ["pipe", "pipe", "pipe"] });
    children.add(child);
    child.on("close", () => children.delete(child));
    child.stdin.on("error", () => undefined);
    return child;
  }

  async function run(args: readonly string[], input = ""): Promise<KubectlRun> {
    const child = await start(args);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) =>
        resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }),
      );
    });
  }

  return {
    run,
    start,
    async ok(args, input) {
      const { code, out, err } = await run(args, input);
      assert.equal(code, 0, `kubectl ${args.join(" ")}: ${err}`);
      return out;
    },
    stop() {
      for (const child of children) child.kill();
    },
  };
}

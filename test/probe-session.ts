import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** What test/probe.ts answers. */
export type ProbeAnswer = Readonly<Record<string, unknown>> & { readonly ok: boolean };

/** A running test/probe.ts that is asked one question after the other, or several at once. */
export class ProbeSession {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<ProbeAnswer>>();
  #asked = 0;
  #words = "";

  /** `child` was started without arguments, with pipes. */
  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdin?.on("error", () => undefined);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#words += text;
    });
    if (child.stdout !== null) createInterface(child.stdout).on("line", (line) => this.#hear(line));
    child.once("close", (status) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`probe ended with ${status}: ${this.#words}`));
      this.#waiting.clear();
    });
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  ask(args: readonly string[]): Promise<ProbeAnswer> {
    this.#asked += 1;
    const answered = Promise.withResolvers<ProbeAnswer>();
    this.#waiting.set(this.#asked, answered);
    this.#child.stdin?.write(`${JSON.stringify({ id: this.#asked, args })}\n`);
    return answered.promise;
  }

  #hear(line: string): void {
    const { id, ...answer }: ProbeAnswer & { readonly id: number } = JSON.parse(line);
    this.#waiting.get(id)?.resolve({ ...answer, ok: answer.ok });
    this.#waiting.delete(id);
  }
}

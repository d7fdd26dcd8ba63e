import { once } from "node:events";
import { eventually, PATIENCE_MS, type TestHost } from "../daemon.ts";

/** `patchbay console VMI` with pipes for a terminal. */
export interface ConsoleSession {
  /** What was shown so far. */
  shown(): string;
  type(text: string): void;
  /** Waits until that is shown after what was typed last. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
  /** Presses Ctrl-]; the exit code. */
  detach(): Promise<number>;
}

/** Attaches to the console of a VMI. */
export async function openConsole(host: TestHost, name: string): Promise<ConsoleSession> {
  const child = host.startPatchbay(["console", name]);
  const { stdout } = child;
  if (stdout === null) throw new Error("the console has no output");
  const ended = once(child, "close");
  let shown = "";
  let notices = "";
  let from = 0;
  stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    notices += text;
  });
  await eventually("the console", () => Promise.resolve(notices.includes("Attached")));
  return {
    shown: () => shown,
    type(text) {
      from = shown.length;
      child.stdin?.write(text);
    },
    // With each word that comes: a guest is asked hundreds of questions.
    async until(pattern) {
      const late = AbortSignal.timeout(PATIENCE_MS);
      for (;;) {
        const found = pattern.exec(shown.slice(from));
        if (found !== null) return found;
        await once(stdout, "data", { signal: late }).catch((cause: unknown) => {
          throw new Error(`gave up waiting for ${pattern} on the console:\n${shown.slice(from)}`, { cause });
        });
      }
    },
    async detach() {
      child.stdin?.write("\x1d");
      const [code] = await ended;
      return Number(code);
    },
  };
}

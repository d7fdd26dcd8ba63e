import { once } from "node:events";
import { eventually, type TestHost } from "../daemon.ts";

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
  const ended = once(child, "close");
  let shown = "";
  let notices = "";
  let from = 0;
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
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
    until: (pattern) =>
      eventually(`${pattern} on the console`, () => Promise.resolve(pattern.exec(shown.slice(from)) ?? undefined)),
    async detach() {
      child.stdin?.write("\x1d");
      const [code] = await ended;
      return Number(code);
    },
  };
}

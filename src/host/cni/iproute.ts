import { spawn } from "node:child_process";
import { flat } from "../../model/networks/cni-result.ts";
import { within } from "../linux/netns.ts";
import { searchPath } from "../setup/programs.ts";

const TIME_LIMIT_MS = 10_000;

/** Runs ip(8) in a namespace, or in this process's; its words when it failed. */
export function ip(netns: string | undefined, args: readonly string[], input = ""): Promise<string | undefined> {
  return new Promise((resolve) => {
    const start = () =>
      spawn("ip", args, {
        stdio: ["pipe", "ignore", "pipe"],
        env: { ...process.env, PATH: searchPath(), LC_ALL: "C" },
        timeout: TIME_LIMIT_MS,
        killSignal: "SIGKILL",
      });
    const child = netns === undefined ? start() : within(netns, start);
    let words = "";
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      words = (words + chunk).slice(-4096);
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    child.on("error", ({ message }) => resolve(message));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(flat(words) || `ip ended with ${signal ?? `exit code ${code}`}`);
    });
  });
}

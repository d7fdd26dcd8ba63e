import { type ChildProcess, spawn } from "node:child_process";
import { Fault } from "../../model/fault.ts";
import { isJsonObject, type JsonObject } from "../../model/json.ts";
import { readJson } from "../../model/networks/cni-json.ts";
import { flat, parseCniError } from "../../model/networks/cni-result.ts";
import { within } from "../linux/netns.ts";
import { searchPath } from "../setup/programs.ts";
import { executionFault, pluginFault, slowPlugin } from "./plugin-fault.ts";

/** A plugin may take this long; the dhcp plugin's lease, the slowest known, takes about 3 s. */
export const PLUGIN_TIME_LIMIT_MS = 10_000;

/** A plugin that has not answered after this long is told of, so that nobody waits in silence. */
const SLOW_MS = 600;

const STDOUT_LIMIT = 1 << 20;
const STDERR_LIMIT = 4096;
/** After a plugin's end, what it left in the pipes is read for this long; a child that it left behind may hold them open. */
const DRAIN_MS = 500;

export type CniCommand = "ADD" | "DEL" | "CHECK" | "VERSION";

/** One execution of one plugin (CNI specification, sections 2 and 4). */
export interface PluginCall {
  readonly command: CniCommand;
  /** Name of the plugin, for messages. */
  readonly type: string;
  /** Path of its binary. */
  readonly binary: string;
  /** Name of the network, for messages. */
  readonly network: string;
  readonly containerId: string;
  /** Path of the pod's namespace; absent for a DEL whose namespace is gone. */
  readonly netns?: string;
  readonly ifName: string;
  /** CNI_ARGS, in order. */
  readonly args: readonly (readonly [string, string])[];
  readonly binDirs: readonly string[];
  /** What it gets on its standard input. */
  readonly config: JsonObject;
  /** Namespace that stands for the host; absent: that of this process. */
  readonly hostNetns?: string;
  readonly timeLimitMs?: number;
  /** Hears once of a plugin that takes long (PB3028); it goes on until its time limit. */
  readonly waits?: (fault: Fault) => void;
  readonly signal?: AbortSignal;
}

interface Ending {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly why?: "time" | "signal" | "size";
}

/**
 * Runs a plugin and returns the JSON that it answered; undefined of DEL and CHECK, which answer nothing.
 *
 * The plugin is the leader of a process group of its own, which is killed at the time limit and when `signal` fires.
 *
 * @throws Fault PB3000 and PB3007–PB3018, PB3026: see `plugin-fault.ts`.
 */
export async function runPlugin(call: PluginCall): Promise<unknown> {
  if (call.signal?.aborted === true) throw executionFault(call, "aborted", "", "");
  const { stdout, stderr, exitCode, killedBy, why } = await execute(call);
  const limit = call.timeLimitMs ?? PLUGIN_TIME_LIMIT_MS;
  if (why === "time") throw executionFault(call, "hangs", `${limit / 1000} s`, stderr);
  if (why === "signal") throw executionFault(call, "aborted", "", stderr);
  if (why === "size") throw executionFault(call, "garbage", `more than ${STDOUT_LIMIT} bytes`, stderr);
  const reading = stdout.trim() === "" ? undefined : readJson(stdout);
  const value = reading !== undefined && "value" in reading ? reading.value : undefined;
  // Some plugins forget the exit code of an error; no result has a "code".
  const error = parseCniError(value);
  if (error !== undefined) throw pluginFault(call, error);
  if (exitCode !== 0) {
    const how = killedBy === null ? `exit code ${exitCode}` : `killed by ${killedBy}`;
    throw executionFault(call, "died", how, stderr === "" ? flat(stdout) : stderr);
  }
  // Of these the exit code alone counts (specification, section 4): what a plugin prints beside it harms nobody.
  if (call.command === "DEL" || call.command === "CHECK") return undefined;
  if (reading === undefined) {
    throw executionFault(call, "silent", "nothing", stderr);
  }
  if (!("value" in reading)) {
    throw executionFault(call, "garbage", `${JSON.stringify(flat(stdout).slice(0, 80))}`, stderr);
  }
  if (call.command === "ADD" && !isJsonObject(value)) {
    throw executionFault(call, "garbage", flat(stdout).slice(0, 80), stderr);
  }
  return value;
}

function execute(call: PluginCall): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const start = (): ChildProcess =>
      spawn(call.binary, [], { env: environmentOf(call), stdio: "pipe", detached: true, cwd: "/" });
    let child: ChildProcess;
    try {
      child = call.hostNetns === undefined ? start() : within(call.hostNetns, start);
    } catch (thrown) {
      reject(notStarted(call, thrown));
      return;
    }
    let why: Ending["why"];
    const stdout: Buffer[] = [];
    let size = 0;
    let stderr = "";
    const kill = (reason: NonNullable<Ending["why"]>): void => {
      why ??= reason;
      killGroup(child);
    };
    const limit = call.timeLimitMs ?? PLUGIN_TIME_LIMIT_MS;
    const timer = setTimeout(kill, limit, "time");
    const slow = limit > SLOW_MS ? setTimeout(() => call.waits?.(slowPlugin(call, limit)), SLOW_MS) : undefined;
    const abort = (): void => kill("signal");
    call.signal?.addEventListener("abort", abort, { once: true });
    child.stdout?.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > STDOUT_LIMIT) kill("size");
      else stdout.push(chunk);
    });
    child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      stderr = (stderr + chunk).slice(-STDERR_LIMIT);
    });
    // A plugin need not read its input: EPIPE is its own affair.
    child.stdin?.on("error", () => {});
    child.stdin?.end(JSON.stringify(call.config));
    let drain: NodeJS.Timeout | undefined;
    let settled = false;
    const settle = (exitCode: number | null, killedBy: NodeJS.Signals | null): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      clearTimeout(slow);
      clearTimeout(drain);
      call.signal?.removeEventListener("abort", abort);
      child.stdout?.destroy();
      child.stderr?.destroy();
      const text = Buffer.concat(stdout).toString("utf8");
      resolve({ stdout: text, stderr: flat(stderr), exitCode, killedBy, ...(why === undefined ? {} : { why }) });
    };
    child.on("error", (thrown) => {
      settled = true;
      clearTimeout(timer);
      clearTimeout(slow);
      call.signal?.removeEventListener("abort", abort);
      reject(notStarted(call, thrown));
    });
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      clearTimeout(slow);
      drain = setTimeout(settle, DRAIN_MS, code, signal);
    });
    child.on("close", settle);
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has just ended by itself.
  }
}

function environmentOf(call: PluginCall): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("CNI_"));
  return {
    ...Object.fromEntries(inherited),
    // Plugins call nft and iptables, which an ordinary PATH does not reach.
    PATH: searchPath(),
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns ?? "",
    CNI_IFNAME: call.ifName,
    CNI_ARGS: call.args.map(([key, value]) => `${key}=${value}`).join(";"),
    CNI_PATH: call.binDirs.join(":"),
  };
}

function notStarted(call: PluginCall, thrown: unknown): unknown {
  if (thrown instanceof Fault) return thrown;
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown);
  return executionFault(call, "unstartable", code, "", thrown);
}

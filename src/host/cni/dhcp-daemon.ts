import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault, toFault } from "../../model/fault.ts";
import { isJsonObject } from "../../model/json.ts";
import type { CniNetwork, CniPlugin } from "../../model/networks/cni-config.ts";
import { goneWithin, isRunning, kill, type ProcessId, startTimeOf } from "../guest/process.ts";
import { within } from "../linux/netns.ts";
import { searchPath } from "../setup/programs.ts";
import { listRecords } from "./attachment-record.ts";
import { DEFAULT_BIN_DIRS, findPlugin } from "./plugins.ts";

/** Where the plugin dhcp looks for its daemon unless its configuration says otherwise. */
const USUAL_SOCKET = "/run/cni/dhcp.sock";
/** The key of the plugin's `ipam` that says otherwise. */
const SOCKET_KEY = "daemonSocketPath";
/** A unix socket's path is no longer (unix(7)). */
const LONGEST_PATH = 107;
const START_MS = 5_000;
const STOP_MS = 2_000;
const POLL_MS = 20;

/**
 * It asks five times before it gives up, the first time before the link is up; with these limits that takes about 18 s, so
 * that it answers in time that there is no server, and does not go on asking for a pod that is gone.
 */
const LIMITS = ["-timeout=3s", "-resendmax=1s"];
/** What a plugin with such an ipam may take, unless somebody said otherwise. */
export const DHCP_TIME_LIMIT_MS = 25_000;

interface Place {
  /** Folder of CNI's records: each has a daemon of its own. */
  readonly cacheDir: string;
  readonly binDirs?: readonly string[];
  readonly hostNetns?: string;
}

/** True for a plugin that has its addresses from the plugin dhcp, and so from its daemon. */
export function asksDhcp({ ipamType }: Pick<CniPlugin, "ipamType">): boolean {
  return ipamType === "dhcp";
}

/**
 * The network with the socket of this folder's daemon in each `ipam` that asks the plugin dhcp. One that names a socket
 * keeps it; where a daemon answers at the usual place, that one is asked.
 *
 * @throws Fault PB3034 where the socket's path is too long
 */
export async function withDhcpDaemon(network: CniNetwork, { cacheDir }: Place): Promise<CniNetwork> {
  const wants = (plugin: CniPlugin): boolean => asksDhcp(plugin) && namedSocket(plugin) === undefined;
  if (!network.plugins.some(wants) || (await answers(USUAL_SOCKET))) return network;
  const socket = socketIn(cacheDir);
  if (Buffer.byteLength(socket) > LONGEST_PATH) {
    throw new Fault("PB3034", `The path ${socket} of the DHCP plugin's socket is longer than ${LONGEST_PATH} bytes.`, {
      place: socket,
      cure: "Use a data folder with a shorter path (--data-dir), or start the daemon yourself: /usr/lib/cni/dhcp daemon.",
    });
  }
  const plugins = network.plugins.map((plugin) => {
    const { ipam } = plugin.config;
    if (!wants(plugin) || !isJsonObject(ipam)) return plugin;
    return { ...plugin, config: { ...plugin.config, ipam: { ...ipam, [SOCKET_KEY]: socket } } };
  });
  return { ...network, plugins };
}

/**
 * Sees to it that this folder's daemon answers before a plugin asks it: one that lives is used, one that hangs is ended and
 * replaced. It outlives this process, and with it the leases.
 *
 * @throws Fault PB3034 where it cannot be started, PB3006, PB3007
 */
export async function ensureDhcpDaemon(plugin: CniPlugin, place: Place): Promise<void> {
  const socket = socketIn(place.cacheDir);
  if (!asksDhcp(plugin) || namedSocket(plugin) !== socket) return;
  const start = starting.get(socket) ?? startUnlessThere(socket, place);
  starting.set(socket, start);
  try {
    await start;
  } catch (thrown) {
    // What else fails here is the folder's: full, read-only, something of that name in it.
    throw toFault(thrown, "PB3034");
  } finally {
    starting.delete(socket);
  }
}

/** Ends this folder's daemon, unless an attachment has its address from it. */
export async function stopDhcpDaemon(cacheDir: string): Promise<void> {
  const socket = socketIn(cacheDir);
  const { records } = listRecords(cacheDir);
  const isUsed = records.some(({ network }) => network.plugins.some((plugin) => namedSocket(plugin) === socket));
  if (!isUsed) await end(cacheDir);
}

/** Starts under way, by socket. */
const starting = new Map<string, Promise<void>>();

async function startUnlessThere(socket: string, place: Place): Promise<void> {
  const { cacheDir, hostNetns } = place;
  if (livingDaemon(cacheDir) !== undefined && (await answers(socket))) return;
  await end(cacheDir);
  const binary = findPlugin("dhcp", place.binDirs ?? DEFAULT_BIN_DIRS);
  fs.mkdirSync(cacheDir, { recursive: true, mode: 0o700 });
  const logFile = join(cacheDir, "dhcp.log");
  const log = fs.openSync(logFile, "w", 0o640);
  let ended: string | undefined;
  try {
    const args = ["daemon", `-socketpath=${socket}`, `-pidfile=${pidFileIn(cacheDir)}`, ...LIMITS];
    const start = () =>
      spawn(binary, args, {
        detached: true,
        cwd: "/",
        env: { ...process.env, PATH: searchPath() },
        stdio: ["ignore", log, log],
      });
    const child = hostNetns === undefined ? start() : within(hostNetns, start);
    child.on("error", ({ message }) => {
      ended = message;
    });
    child.on("exit", (code, signal) => {
      ended ??= signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`;
    });
    child.unref();
  } finally {
    fs.closeSync(log);
  }
  const deadline = performance.now() + START_MS;
  while (!(await answers(socket))) {
    if (ended === undefined && performance.now() < deadline) {
      await sleep(POLL_MS);
      continue;
    }
    const said = fs.readFileSync(logFile, "utf8").trim().split("\n").at(-1) ?? "";
    const why = ended ?? `it does not answer after ${START_MS / 1000} s`;
    await end(cacheDir);
    throw new Fault(
      "PB3034",
      `The DHCP plugin's daemon cannot be started: ${why}.${said === "" ? "" : ` It said: ${said}.`}`,
      {
        place: socket,
        cure: `Run it by hand to see why: ${binary} daemon. While one answers at ${USUAL_SOCKET}, it is used instead.`,
      },
    );
  }
}

async function end(cacheDir: string): Promise<void> {
  const daemon = livingDaemon(cacheDir);
  if (daemon !== undefined) {
    kill(daemon);
    await goneWithin(daemon, STOP_MS);
  }
  for (const file of [socketIn(cacheDir), pidFileIn(cacheDir)]) fs.rmSync(file, { force: true });
}

/** The process that the folder's pid file names, where it is this folder's daemon and no later process of that number. */
function livingDaemon(cacheDir: string): ProcessId | undefined {
  try {
    const pid = Number(fs.readFileSync(pidFileIn(cacheDir), "utf8").trim());
    const startTime = Number.isSafeInteger(pid) && pid > 0 ? startTimeOf(pid) : undefined;
    const args = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    if (startTime === undefined || !args.includes(`-socketpath=${socketIn(cacheDir)}`)) return undefined;
    const daemon = { pid, startTime };
    return isRunning(daemon) ? daemon : undefined;
  } catch {
    return undefined;
  }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.on("connect", () => {
      connection.destroy();
      resolve(true);
    });
    connection.on("error", () => resolve(false));
  });
}

function namedSocket({ config: { ipam } }: CniPlugin): string | undefined {
  const socket = isJsonObject(ipam) ? ipam[SOCKET_KEY] : undefined;
  return typeof socket === "string" && socket !== "" ? socket : undefined;
}

function socketIn(cacheDir: string): string {
  return join(cacheDir, "dhcp.sock");
}

function pidFileIn(cacheDir: string): string {
  return join(cacheDir, "dhcp.pid");
}

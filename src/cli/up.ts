import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Logger, pino } from "pino";
import { IMAGE_FOLDERS, ownFolder } from "../apiserver/data-folder.ts";
import { makeKubeClient } from "../client/client.ts";
import { loadKubeconfig } from "../client/kubeconfig.ts";
import { guestFiles } from "../host/guest/guest-files.ts";
import { requireNeeds } from "../host/setup/check.ts";
import { type Code, codes } from "../model/codes/codes.ts";
import { Fault, isFault } from "../model/fault.ts";
import { shellWord } from "../model/shell-word.ts";
import { startDaemon } from "./daemon.ts";
import { claimDataFolder, livingDaemon, writing } from "./daemon-process.ts";
import { isNodeName } from "./daemon-settings.ts";
import { type DataPaths, dataPaths } from "./paths.ts";

/** Options of `patchbay up`. */
export interface UpOptions {
  readonly dataDir: string;
  /** IP address; absent: loopback. */
  readonly address?: string;
  readonly port: string;
  readonly nodeName?: string;
  readonly imageDir?: string;
  readonly cniConfDir?: string;
  readonly cniBinDir?: string;
  /** Seconds. */
  readonly cniTimeout: string;
  readonly detach?: boolean;
}

const READY_MS = 60_000;
const POLL_MS = 50;
const MOST_CNI_SECONDS = 600;
/** As long as a pod's is. */
const SOME_UID = "00000000-0000-4000-8000-000000000000";
/** The daemon's last lines, where it did not come up. */
const LAST_LINES = 5;

/** Runs the daemon, in front until a signal, or behind with `--detach`. */
export async function up(options: UpOptions): Promise<number> {
  const paths = dataPaths(options.dataDir);
  const wrong = wrongUsage(options);
  if (wrong !== undefined) {
    process.stderr.write(`patchbay: ${wrong}\n`);
    return 2;
  }
  requireNeeds("up");
  return options.detach === true ? behind(paths, options) : inFront(paths, options);
}

/** What cannot be meant of a daemon's options, as a sentence. */
export function wrongUsage({ address, port, cniTimeout, nodeName }: UpOptions): string | undefined {
  if (address !== undefined && (isIP(address) === 0 || address.includes("%"))) {
    return `--address ${address} is no IP address: give one of this machine's, such as 127.0.0.1, without a zone.`;
  }
  if (!/^\d+$/.test(port) || Number(port) > 65_535) {
    return `--port ${port} is no port: give 1 to 65535, or 0 for any free one.`;
  }
  const seconds = Number(cniTimeout);
  if (!(seconds > 0 && seconds <= MOST_CNI_SECONDS)) {
    return `--cni-timeout ${cniTimeout} is no time limit: give more than 0 and at most ${MOST_CNI_SECONDS} seconds.`;
  }
  if (nodeName !== undefined && !isNodeName(nodeName)) {
    return `--node-name ${nodeName} is no name of a node: give at most 63 small letters, digits, dashes and dots, a letter or digit at both ends.`;
  }
  return undefined;
}

async function inFront(paths: DataPaths, options: UpOptions): Promise<number> {
  const log = pino({ level: process.env["PATCHBAY_LOG_LEVEL"] ?? "info" }, process.stdout);
  prepareFolder(paths, log);
  const folder = await claimDataFolder(paths);
  try {
    const stop = new Promise<string>((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(signal));
    });
    const { address, nodeName, imageDir, cniConfDir, cniBinDir } = options;
    const daemon = await startDaemon({
      paths,
      port: Number(options.port),
      log,
      ...(address === undefined ? {} : { address }),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(imageDir === undefined ? {} : { imageDir }),
      ...(cniConfDir === undefined ? {} : { cniConfDir }),
      ...(cniBinDir === undefined ? {} : { cniBinDir }),
      cniTimeoutMs: Number(options.cniTimeout) * 1000,
    });
    process.stderr.write(`${exportLine(paths)}\n`);
    log.info({ signal: await stop }, "stopping; guests go on");
    await daemon.close();
    return 0;
  } finally {
    folder.release();
  }
}

async function behind(paths: DataPaths, options: UpOptions): Promise<number> {
  const living = livingDaemon(paths);
  if (living === undefined) {
    await startBehind(paths, options);
  } else {
    const which = `process ${living}, with the options it was started with`;
    process.stderr.write(`patchbay: a daemon runs already on ${paths.root} (${which})\n`);
  }
  process.stdout.write(`${exportLine(paths)}\n`);
  return 0;
}

/** @throws Fault PB6113 where this user is not root. */
export function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new Fault("PB6113", "The daemon needs root: it makes network namespaces and runs CNI plugins.", {
    cure: "Run the command with sudo. `patchbay validate` and `patchbay plan` need no root.",
  });
}

/**
 * Makes the data folder where there is none. Nothing is made in one that cannot serve: PB6113 without root, PB5060
 * where its path is too long, PB6001 where it is another user's or no folder.
 */
function prepareFolder(paths: DataPaths, log: Logger): void {
  requireRoot();
  try {
    guestFiles(join(paths.guests, SOME_UID));
  } catch (cause) {
    if (!isFault(cause, "PB5060")) throw cause;
    throw new Fault(
      "PB5060",
      `The path of the data folder ${paths.root} is too long for the sockets of guests in it.`,
      {
        place: paths.root,
        cure: "Name a folder with a shorter path: --data-dir.",
        cause,
      },
    );
  }
  ownFolder(paths.root, log, IMAGE_FOLDERS);
}

/** Starts the daemon as a process of its own and returns when it is ready. PB6111 where it is not. */
export async function startBehind(paths: DataPaths, options: UpOptions): Promise<void> {
  prepareFolder(paths, pino({ level: "warn" }, process.stderr));
  const log = openLog(paths.log);
  // What cannot be written now would be missed when the daemon fails.
  writing(paths.log, () => writeFileSync(log, `patchbay up, ${new Date().toISOString()}\n`));
  const begin = statSync(paths.log).size;
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? "", ...upArguments(options)], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code));
    child.once("error", () => resolve(null));
  });
  child.unref();
  const deadline = performance.now() + READY_MS;
  while (!(await answers(paths, child.pid))) {
    const over = await Promise.race([exited.then(() => true), sleep(POLL_MS, false)]);
    if (!over && performance.now() < deadline) continue;
    const said = readFileSync(paths.log).subarray(begin).toString("utf8").trim();
    const own = over ? ownFault(said) : undefined;
    if (own !== undefined) throw own;
    const lines = said.split("\n").slice(-LAST_LINES).join("\n");
    const how = over ? "ended before it was ready" : `is not ready after ${READY_MS / 1000} s`;
    throw new Fault("PB6111", `The daemon ${how}:\n${lines}`, {
      place: paths.log,
      cure: `The whole log is ${paths.log}.`,
    });
  }
}

/** The fault that the daemon itself ended with, read back from its log as `patchbay` writes it. */
function ownFault(log: string): Fault | undefined {
  const [, code = "", message = "", place, cure] =
    /(?:^|\n)patchbay: (PB\d{4}): ([^\n]*)(?:\n {2}at ([^\n]*))?(?:\n {2}([\s\S]*))?$/.exec(log) ?? [];
  if (!isCode(code)) return undefined;
  return new Fault(code, message, {
    ...(place === undefined ? {} : { place }),
    ...(cure === undefined ? {} : { cure: cure.replaceAll("\n  ", "\n") }),
  });
}

function isCode(text: string): text is Code {
  return Object.hasOwn(codes, text);
}

function openLog(path: string): number {
  return writing(path, () => openSync(path, "a", 0o600));
}

/** True when the daemon of this very process number says that it is ready. */
async function answers(paths: DataPaths, pid: number | undefined): Promise<boolean> {
  if (livingDaemon(paths) !== pid) return false;
  try {
    const client = makeKubeClient(loadKubeconfig(paths.kubeconfig));
    try {
      await client.raw("/readyz");
      return true;
    } finally {
      client.close();
    }
  } catch (thrown) {
    if (isFault(thrown)) return false;
    throw thrown;
  }
}

function upArguments(options: UpOptions): string[] {
  return [
    "up",
    "--data-dir",
    options.dataDir,
    "--port",
    options.port,
    "--cni-timeout",
    options.cniTimeout,
    ...(options.address === undefined ? [] : ["--address", options.address]),
    ...(options.nodeName === undefined ? [] : ["--node-name", options.nodeName]),
    ...(options.imageDir === undefined ? [] : ["--image-dir", options.imageDir]),
    ...(options.cniConfDir === undefined ? [] : ["--cni-conf-dir", options.cniConfDir]),
    ...(options.cniBinDir === undefined ? [] : ["--cni-bin-dir", options.cniBinDir]),
  ];
}

export function exportLine(paths: DataPaths): string {
  return `export KUBECONFIG=${shellWord(paths.kubeconfig)}`;
}

import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Fault, isFault } from "../../model/fault.ts";
import type { GuestNic, PasstListens, PasstStream } from "../../model/wiring/wiring.ts";
import { fileFault } from "../linux/libc.ts";
import { within } from "../linux/netns.ts";
import { openFilesLimit } from "../linux/open-files.ts";
import { unixConnection } from "../linux/unix-socket.ts";
import { findProgram } from "../setup/programs.ts";
import type { User } from "../setup/users.ts";
import { type StreamFiles, streamFiles } from "./guest-files.ts";
import { createFile, removeName, withSocket } from "./guest-folder.ts";
import { lastWords } from "./guest-log.ts";
import { findQemuUser, goneWithin, kill, type ProcessId, startTimeOf } from "./process.ts";
import type { ChildExit } from "./running-guest.ts";

/** A NIC of a guest whose backend is a passt process. */
export interface PasstNic {
  readonly nic: GuestNic;
  readonly attachment: PasstStream;
  readonly files: StreamFiles;
}

/** Where passt runs. */
export interface PasstPlace {
  readonly netns: string;
  /** The guest's folder. */
  readonly runDir: string;
}

/** A passt process; where it is a child of this process, how it ends, and where its log stood when it was ready. */
export interface Passt extends ProcessId {
  readonly exited?: Promise<ChildExit>;
  readonly logStart?: number;
}

const READY_DEADLINE_MS = 20_000;
const POLL_MS = 10;
const KILL_DEADLINE_MS = 5_000;
const LOG_BYTES = 256 << 10;

/** The NICs of a guest that passt carries. */
export function passtNics(nics: readonly GuestNic[], runDir: string): readonly PasstNic[] {
  return nics.flatMap((nic, index) =>
    nic.attachment.kind === "stream" ? [{ nic, attachment: nic.attachment, files: streamFiles(runDir, index) }] : [],
  );
}

/**
 * passt's arguments, without the program's name; `fd` is its socket to QEMU.
 *
 * In the foreground its number is known before it does anything. The gateway is the network's own, not this pod's
 * loopback, which passt would put in its place.
 */
export function passtArguments({ nic, attachment, files }: PasstNic, fd: number): string[] {
  const { device, families, ports, nameservers, search } = attachment;
  return [
    "--foreground",
    "--quiet",
    // It runs in the guest's folder: what lies above need not be open to its user.
    ...["--log-file", basename(files.log), "--log-size", String(LOG_BYTES)],
    ...["--pid", basename(files.ready)],
    ...["--fd", String(fd)],
    ...["--interface", device],
    ...["--mtu", String(nic.mtu)],
    "--no-map-gw",
    ...(families.includes(6) ? [] : ["--ipv4-only"]),
    ...(families.includes(4) ? [] : ["--ipv6-only"]),
    ...(nameservers.length === 0 ? ["--dns", "none"] : nameservers.flatMap((server) => ["--dns", server])),
    ...(search.length === 0 ? ["none"] : search.map(searchWord)).flatMap((domain) => ["--search", domain]),
    ...["--tcp-ports", portSpec(ports.tcp)],
    ...["--udp-ports", portSpec(ports.udp)],
  ];
}

/** passt takes "none" for no domain at all. */
const searchWord = (domain: string): string => (domain === "none" ? "none." : domain);

function portSpec(ports: PasstListens): string {
  if (ports === "all") return "all";
  return ports.map(({ port, last = port }) => (last === port ? `${port}` : `${port}-${last}`)).join(",") || "none";
}

/**
 * Starts passt in the pod's namespace, unprivileged, on a new connection to QEMU, and waits until it listens. It outlives
 * this process.
 *
 * @throws Fault PB5066, PB5054; then no process is left
 */
export async function startPasst(wanted: PasstNic, { netns, runDir }: PasstPlace): Promise<Passt> {
  const { nic, files } = wanted;
  const program = passtProgram(nic.name);
  const user = findQemuUser();
  openFilesLimit();
  const child = connectedChild(wanted, { netns, runDir }, program, user);
  const exited = new Promise<ChildExit>((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, error }));
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
  if (child.pid === undefined || startTime === undefined) throw ended(wanted, await exited);
  child.unref();
  const passt = { pid: child.pid, startTime, exited };
  let over: ChildExit | undefined;
  void exited.then((exit) => {
    over = exit;
  });
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!fs.existsSync(files.ready)) {
    if (over !== undefined) throw ended(wanted, over);
    if (performance.now() > deadline) {
      await stopPasst(passt);
      throw notStarted(nic.name, `it was not ready within ${READY_DEADLINE_MS / 1000} s`, seeLog(files));
    }
    await sleep(POLL_MS);
  }
  return { ...passt, logStart: fs.lstatSync(files.log, { throwIfNoEntry: false })?.size ?? 0 };
}

/** Where passt is, for an interface of that name. @throws Fault PB5066 */
export function passtProgram(nic: string): string {
  const program = findProgram("passt");
  if (program !== undefined) return program;
  throw notStarted(nic, "this machine has no passt", "Run ./patchbay setup.");
}

function connectedChild(wanted: PasstNic, place: PasstPlace, program: string, user: User): ChildProcess {
  const { nic, files } = wanted;
  let errors: number | undefined;
  let connection: number | undefined;
  try {
    removeName(files.ready);
    errors = createFile(files.errors, 0o640);
    connection = withSocket(files.socket, (same) => unixConnection(same, files.socket));
    const stdio = ["ignore", errors, errors, connection] as const;
    return within(place.netns, () =>
      spawn(program, passtArguments(wanted, stdio.length - 1), {
        ...user,
        // By this it is found again: passt itself looks only at the last part, for its own name.
        argv0: wanted.files.process,
        detached: true,
        cwd: place.runDir,
        env: { PATH: "/usr/bin:/bin" },
        stdio: [...stdio],
      }),
    );
  } catch (thrown) {
    const fault = fileFault(thrown, files.errors);
    throw isFault(fault) ? notStarted(nic.name, fault.message, fault.cure ?? seeLog(files)) : fault;
  } finally {
    if (errors !== undefined) fs.closeSync(errors);
    // passt has its own by now; while this one is open, QEMU does not notice that passt is gone.
    if (connection !== undefined) fs.closeSync(connection);
  }
}

/** The living passt of a NIC, found by its name: whoever started it. It may not be ready yet. */
export function findPassts({ files }: Pick<PasstNic, "files">): readonly ProcessId[] {
  const { uid } = findQemuUser();
  return fs.readdirSync("/proc").flatMap((entry): ProcessId[] => {
    const pid = Number(entry);
    if (!Number.isSafeInteger(pid)) return [];
    try {
      if (!fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`${files.process}\0`)) return [];
      // The folder's owner is root, as nobody may look into passt.
      const [, real] = /^Uid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
      const startTime = startTimeOf(pid);
      return Number(real) === uid && startTime !== undefined ? [{ pid, startTime }] : [];
    } catch {
      return [];
    }
  });
}

/** Ends a passt and waits until it is gone. @throws Fault PB5057 */
export async function stopPasst(id: ProcessId): Promise<void> {
  kill(id);
  if (await goneWithin(id, KILL_DEADLINE_MS)) return;
  throw new Fault("PB5057", `passt (process ${id.pid}) does not end, not even by SIGKILL.`, {
    cure: "A device of the machine may be stuck; see dmesg.",
  });
}

function ended({ nic, files }: PasstNic, { code, signal, error }: ChildExit): Fault {
  if (error !== undefined) return notStarted(nic.name, error.message, "Run ./patchbay setup.");
  const words = passtWords(files);
  const how = signal === null ? `it ended with exit code ${code}` : `it ended by ${signal}`;
  return notStarted(
    nic.name,
    words === "" ? how : words,
    words.includes("enough sockets")
      ? "List the ports that are wanted in the interface's ports, or raise the limits of open files (ulimit -n, sysctl fs.file-max)."
      : seeLog(files),
  );
}

/** What passt said last, of its log from a place on. */
export function passtWords(files: StreamFiles, logStart = 0): string {
  const said = [...(logStart === 0 ? [lastWords(files.errors)] : []), lastWords(files.log, logStart)];
  const [last = ""] = (said.find((words) => words !== "") ?? "").split("\n").slice(-1);
  return last.replace(/^[\d.]+: \w+:\s*/, "").replace(/\.$/, "");
}

function seeLog({ log }: StreamFiles): string {
  return `See its log, ${log}.`;
}

function notStarted(nic: string, why: string, cure: string): Fault {
  return new Fault("PB5066", `passt for the interface "${nic}" cannot be started: ${why.replace(/\.$/, "")}.`, {
    place: `spec.domain.devices.interfaces[${nic}]`,
    cure,
  });
}

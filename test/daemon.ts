import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { defaultConflist } from "../src/host/cni/default-network.ts";
import { startTimeOf } from "../src/host/guest/process.ts";
import { guestImageFolder } from "./guest/image-cache.ts";
import { type ProbeAnswer, ProbeSession } from "./probe-session.ts";

const execute = promisify(execFile);
const ROOT = new URL("..", import.meta.url).pathname;
const PROBE = join(ROOT, "test/probe.ts");
/**
 * Long enough for a guest under TCG on a busy machine; a condition is awaited, this only bounds it. A machine that is
 * itself emulated says how much slower it is.
 */
export const PATIENCE_MS = 120_000 * Number(process.env["PATCHBAY_TEST_SLOWNESS"] ?? "1");

let counter = 0;

/** What a command said, and how it ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the guest of a VMI is. */
export interface TestGuest {
  readonly podUid: string;
  readonly netns: string;
  readonly qemuPid: number;
  /** Its folder below the data folder: sockets, disks, the console's log. */
  readonly folder: string;
}

/** A machine outside of the host that stands for the rest of the world. */
export interface Outside {
  readonly addresses: readonly string[];
  /** Addresses that called its server so far. */
  clients(): readonly string[];
}

/** A daemon in a network namespace of its own that stands for the host, with its own data folder; gone after the test. */
export class TestHost {
  readonly netns: string;
  readonly dataDir: string;
  readonly #processes: ChildProcess[] = [];
  readonly #namespaces: string[] = [];
  #upArguments: readonly string[] = [];
  #mounts: number | undefined;
  #probe: ProbeSession | undefined;

  private constructor(netns: string, dataDir: string) {
    this.netns = netns;
    this.dataDir = dataDir;
  }

  /** Makes the namespace and the folder; both go when the test ends, with every process started here. */
  static async make(t: TestContext): Promise<TestHost> {
    const host = await TestHost.create();
    t.after(() => host.dispose());
    return host;
  }

  /** The machine itself, for what is in its own namespace only: network cards. For tests that have a machine of their own. */
  static async machine(t: TestContext): Promise<TestHost> {
    const host = new TestHost("/proc/1/ns/net", await mkdtemp(join(tmpdir(), "patchbay-test-")));
    t.after(() => host.dispose());
    return host;
  }

  /** The same for who is no test and calls {@link dispose} itself. */
  static async create(): Promise<TestHost> {
    counter += 1;
    const name = `pbtest-${process.pid}-${counter}`;
    const dataDir = await mkdtemp(join(tmpdir(), "patchbay-test-"));
    const host = new TestHost(`/run/netns/${name}`, dataDir);
    await execute("ip", ["netns", "add", name]);
    host.#namespaces.push(name);
    await host.run(["ip", "link", "set", "lo", "up"]);
    return host;
  }

  async dispose(): Promise<void> {
    await this.patchbay(["down", "--vms"]);
    // What is still written, by one that is dying too, would keep the folder from going.
    await Promise.all(this.#processes.map(killed));
    for (const namespace of this.#namespaces) await execute("ip", ["netns", "del", namespace]);
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 10 });
  }

  /** A command inside the host's namespace, run to its end. */
  async run(
    argv: readonly string[],
    options: { readonly input?: string; readonly timeoutMs?: number; readonly netns?: string } = {},
  ): Promise<Outcome> {
    const child = this.#spawn(argv, ["pipe", "pipe", "pipe"], options.netns);
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
    const limitMs = options.timeoutMs ?? PATIENCE_MS;
    let late = "";
    const timer = setTimeout(() => {
      late = `\nkilled: it did not end within ${limitMs / 1_000} s\n`;
      child.kill("SIGKILL");
    }, limitMs);
    const [stdout, stderr, code] = await Promise.all([
      collect(child.stdout),
      collect(child.stderr),
      new Promise<number>((resolve) => child.on("close", (status) => resolve(status ?? -1))),
    ]);
    clearTimeout(timer);
    return { code, stdout, stderr: stderr + late };
  }

  /** A command inside the host's namespace that goes on; killed when the test ends. */
  start(argv: readonly string[]): ChildProcess {
    const child = this.#spawn(argv, ["pipe", "pipe", "pipe"]);
    this.#processes.push(child);
    return child;
  }

  /** `patchbay` that goes on; killed when the test ends. */
  startPatchbay(args: readonly string[]): ChildProcess {
    return this.start([join(ROOT, "patchbay"), ...args, "--data-dir", this.dataDir]);
  }

  patchbay(
    args: readonly string[],
    options: { readonly input?: string; readonly timeoutMs?: number } = {},
  ): Promise<Outcome> {
    return this.run([join(ROOT, "patchbay"), ...args, "--data-dir", this.dataDir], options);
  }

  /** Lets the next daemons find the test guest, which all tests share. */
  async useGuestImage(): Promise<void> {
    this.#upArguments = [...this.#upArguments, "--image-dir", await guestImageFolder()];
  }

  /**
   * Shows a folder at another place of the machine to the processes that are started from now on, and to nobody else: in
   * a mount namespace of their own, which shares the named network namespaces with the machine's.
   */
  async showAt(place: string, folder: string): Promise<void> {
    // Where the mount above were shared, the machine would see the folder too.
    const show = `mount --make-private "$(stat -c %m -- "$1")" && mount --bind -- "$2" "$1" && echo shown && exec sleep infinity`;
    const keeper = this.start(["unshare", "--mount", "--propagation=unchanged", "sh", "-c", show, "sh", place, folder]);
    let complaint = "";
    keeper.stderr?.on("data", (text: Buffer) => {
      complaint += text.toString();
    });
    const shown = await new Promise<boolean>((resolve) => {
      keeper.stdout?.once("data", () => resolve(true));
      keeper.once("close", () => resolve(false));
    });
    if (!shown) throw new Error(`${folder} cannot be shown at ${place}: ${complaint}`);
    this.#mounts = keeper.pid;
  }

  /** Gives the pods of the next daemons addresses of these families only, and links of this MTU. */
  async usePodNetwork(families: readonly (4 | 6)[], mtu?: number): Promise<void> {
    const folder = join(this.dataDir, "cni", "net.d");
    const conflist = defaultConflist({
      dataDir: this.dataDir,
      families: families.length === 2 ? "dual" : families[0] === 4 ? "ipv4" : "ipv6",
    });
    const [bridge, ...others] = Array.isArray(conflist["plugins"]) ? conflist["plugins"] : [];
    const plugins = [mtu === undefined ? bridge : Object.assign({}, bridge, { mtu }), ...others];
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "10-patchbay.conflist"), JSON.stringify({ ...conflist, plugins }));
  }

  /** Another machine beside this host, with a server on port 8099 that tells who calls it. */
  async makeOutside(families: readonly (4 | 6)[]): Promise<Outside> {
    const name = `${this.netns.split("/").at(-1)}-o`;
    await execute("ip", ["netns", "add", name]);
    this.#namespaces.push(name);
    const near = { 4: "192.0.2.1/24", 6: "2001:db8::1/64" } as const;
    const far = { 4: "192.0.2.2", 6: "2001:db8::2" } as const;
    await this.run(["ip", "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", name]);
    await this.run(["ip", "link", "set", "out0", "up"]);
    await execute("ip", ["-n", name, "link", "set", "eth0", "up"]);
    for (const family of families) {
      await this.run(["ip", "address", "add", near[family], "dev", "out0", ...(family === 6 ? ["nodad"] : [])]);
      const address = `${far[family]}/${family === 4 ? 24 : 64}`;
      await execute("ip", ["-n", name, "address", "add", address, "dev", "eth0", ...(family === 6 ? ["nodad"] : [])]);
    }
    const addresses = families.map((family) => far[family]);
    const server = this.#spawn(
      [process.execPath, PROBE, "serve", "::", "8099", "hello"],
      ["ignore", "ignore", "pipe"],
      `/run/netns/${name}`,
    );
    this.#processes.push(server);
    const seen: string[] = [];
    server.stderr?.setEncoding("utf8");
    server.stderr?.on("data", (text: string) => seen.push(...text.split("\n").filter((line) => line !== "")));
    await eventually("the outside server", () => Promise.resolve(seen.includes("listening")));
    return {
      addresses,
      clients: () =>
        seen.flatMap((line) =>
          line.startsWith("client ") ? [line.slice("client ".length).replace("::ffff:", "")] : [],
        ),
    };
  }

  /** `patchbay up --detach`; fails the test where the daemon does not come up. */
  async up(args: readonly string[] = []): Promise<void> {
    const outcome = await this.patchbay(["up", "--detach", "--port", "0", ...this.#upArguments, ...args]);
    if (outcome.code !== 0) throw new Error(`patchbay up failed (${outcome.code}): ${outcome.stderr}${outcome.stdout}`);
  }

  kubectl(args: readonly string[], input?: string): Promise<Outcome> {
    return this.run([process.env["KUBECTL"] ?? "kubectl", "--kubeconfig", join(this.dataDir, "kubeconfig"), ...args], {
      ...(input === undefined ? {} : { input }),
    });
  }

  /** kubectl that must succeed; its stdout. */
  async kubectlOk(args: readonly string[], input?: string): Promise<string> {
    const outcome = await this.kubectl(args, input);
    if (outcome.code !== 0) throw new Error(`kubectl ${args.join(" ")} failed: ${outcome.stderr}${outcome.stdout}`);
    return outcome.stdout;
  }

  /** One value by jsonpath; empty where there is none or the object is not there. */
  async value(kind: string, name: string, jsonPath: string): Promise<string> {
    return (await this.kubectl(["get", kind, name, "-o", `jsonpath={${jsonPath}}`])).stdout;
  }

  /** test/probe.ts inside the host's namespace. */
  probe(...args: readonly string[]): Promise<ProbeAnswer> {
    if (this.#probe === undefined || this.#probe.ended) {
      this.#probe = new ProbeSession(this.start([process.execPath, PROBE]));
    }
    return this.#probe.ask(args);
  }

  /** test/probe.ts inside another namespace, such as a pod's: in a process that ends, for as long as it runs so does the namespace. */
  async probeIn(netns: string, ...args: readonly string[]): Promise<ProbeAnswer> {
    const outcome = await this.run([process.execPath, PROBE, ...args], { netns });
    const answer: unknown = JSON.parse(outcome.stdout);
    if (typeof answer !== "object" || answer === null || !("ok" in answer)) throw new Error(`probe: ${outcome.stderr}`);
    return { ...answer, ok: answer.ok === true };
  }

  async daemonPid(): Promise<number> {
    return Number((await readFile(join(this.dataDir, "patchbay.pid"), "utf8")).split("\n")[0]);
  }

  /** Kills the daemon as a crash would, and waits until it is gone. */
  async killDaemon(): Promise<void> {
    const pid = await this.daemonPid();
    process.kill(pid, "SIGKILL");
    await eventually("the end of the daemon", () => Promise.resolve(!isProcess(pid)));
  }

  /** Where the guest of a VMI is, from its pod's annotations; waits until it is started. */
  guest(name: string): Promise<TestGuest> {
    return eventually(`the guest of ${name}`, async () => {
      const paths = ["uid", "annotations.patchbay\\.io/netns", "annotations.patchbay\\.io/qemu-pid"];
      const text = await this.kubectl([
        "get",
        "pod",
        "-l",
        `vm.kubevirt.io/name=${name}`,
        "-o",
        `jsonpath={${paths.map((path) => `.items[0].metadata.${path}`).join('}{"\\n"}{')}}`,
      ]);
      const [podUid = "", netns = "", pid = ""] = text.stdout.split("\n");
      if (text.code !== 0 || pid === "") return undefined;
      return { podUid, netns, qemuPid: Number(pid), folder: join(this.dataDir, "guests", podUid) };
    });
  }

  /** The page that a guest serves on port 80; waits for it, and until it shows `wanted`. */
  async page(address: string, wanted = /^hostname: /m): Promise<string> {
    let page = "no page";
    try {
      return await eventually(`the page of ${address}`, async () => {
        const answer = await this.probe("http", address, "80");
        page = String(answer["body"] ?? answer["error"]);
        return answer["status"] === 200 && wanted.test(page) && page;
      });
    } catch {
      throw new Error(`gave up waiting for ${wanted} on the page of ${address}:\n${page}`);
    }
  }

  /** Waits until a guest's echo answers: its page and its echo are two programs, which start at once. */
  async reach(kind: "tcp" | "udp", address: string, port: string): Promise<void> {
    await eventually(`the ${kind} echo of ${address}`, async () => (await this.probe(kind, address, port)).ok);
  }

  /** `act`, and where it fails, all that the daemon and the guests have to say, on stderr. */
  explained<T>(act: (t: T) => Promise<void>): (t: T) => Promise<void> {
    return async (t) => {
      try {
        await act(t);
      } catch (thrown) {
        process.stderr.write(`${await this.#story()}\n`);
        throw thrown;
      }
    };
  }

  async #story(): Promise<string> {
    const vmi = `{range .items[*]}{.metadata.name} {.status.phase}{"\\n"}{range .status.conditions[*]}  {.type}={.status} {.reason} {.message}{"\\n"}{end}{end}`;
    const event = `{range .items[*]}{.lastTimestamp} {.involvedObject.name} {.reason} {.message}{"\\n"}{end}`;
    const said = await Promise.all([
      this.kubectl(["get", "vmi", "-o", `jsonpath=${vmi}`]),
      this.kubectl(["get", "events", "-o", `jsonpath=${event}`]),
    ]);
    const guests = await readdir(join(this.dataDir, "guests")).catch(() => []);
    const files = ["daemon.log", ...guests.map((uid) => `guests/${uid}/console.log`)];
    const tails = await Promise.all(
      files.map(async (file) => `--- ${file}\n${await tail(join(this.dataDir, file), 30)}`),
    );
    return [...said.map(({ stdout, stderr }) => stdout + stderr), ...tails].join("\n");
  }

  #spawn(argv: readonly string[], stdio: ("pipe" | "ignore")[], netns = this.netns): ChildProcess {
    const mounts = this.#mounts === undefined ? [] : [`--mount=/proc/${this.#mounts}/ns/mnt`];
    return spawn("nsenter", [`--net=${netns}`, ...mounts, "--", ...argv], {
      stdio,
      env: { ...process.env, PATCHBAY_DATA_DIR: this.dataDir },
    });
  }
}

/** Waits until `condition` gives something other than undefined, false or an empty text; fails with `what` after {@link PATIENCE_MS}. */
export async function eventually<T>(
  what: string,
  condition: () => Promise<T | undefined | false>,
  patienceMs = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false && value !== "") return value;
    if (Date.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await delay(200);
  }
}

/** Kills a child, and waits until it is gone. */
async function killed(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

async function tail(file: string, lines: number): Promise<string> {
  const text = await readFile(file, "utf8").catch((error: unknown) => String(error));
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}

/** False for one that ended and was not yet waited for, too. */
export function isProcess(pid: number): boolean {
  return startTimeOf(pid) !== undefined;
}

async function collect(stream: NodeJS.ReadableStream | null): Promise<string> {
  if (stream === null) return "";
  const chunks: string[] = [];
  stream.setEncoding("utf8");
  for await (const chunk of stream) chunks.push(String(chunk));
  return chunks.join("");
}

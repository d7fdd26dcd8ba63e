import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openDebianPackages } from "../src/host/images/debian-packages.ts";
import { exclusively } from "../src/host/images/exclusive.ts";
import { within } from "../src/host/linux/netns.ts";

const CACHE = join(process.env["PATCHBAY_TEST_CACHE"] ?? "/var/cache/patchbay-test", "openvswitch");
const PACKAGES = ["openvswitch-switch", "openvswitch-common", "libxdp1"];
const PATIENCE_MS = 60_000;

/** An Open vSwitch of a test's own, with its daemons in the test's namespace. */
export interface OpenVSwitch {
  /** Path of its database's socket. */
  readonly socket: string;
  /** Runs ovs-vsctl, ovs-ofctl or ovs-appctl; its stdout. */
  readonly tool: (name: string, ...args: string[]) => string;
}

/** True where its packages were brought already. */
export function isOpenVSwitchHere(): boolean {
  return existsSync(join(CACHE, "root"));
}

/** The folder with Debian's packages of it, unpacked once for all tests of a machine; nothing is installed. */
export async function openVSwitchFolder(): Promise<string> {
  const root = join(CACHE, "root");
  await mkdir(CACHE, { recursive: true });
  return exclusively(join(CACHE, "lock"), async () => {
    if (isOpenVSwitchHere()) return root;
    const half = `${root}.half`;
    await rm(half, { recursive: true, force: true });
    const packages = await openDebianPackages(join(CACHE, "packages"), () => {});
    await packages.unpack(PACKAGES, half);
    await rename(half, root);
    return root;
  });
}

/** Starts its database and its switch in a namespace; both end with the test. */
export async function startOpenVSwitch(t: TestContext, netns: string): Promise<OpenVSwitch> {
  const root = await openVSwitchFolder();
  const run = mkdtempSync(join(tmpdir(), "pbovs-"));
  const [socket, database] = [join(run, "db.sock"), join(run, "conf.db")];
  const env = {
    ...process.env,
    LD_LIBRARY_PATH: join(root, "usr/lib/x86_64-linux-gnu"),
    OVS_RUNDIR: run,
    OVS_LOGDIR: run,
    OVS_DBDIR: run,
    OVS_SYSCONFDIR: run,
    OVS_PKGDATADIR: join(root, "usr/share/openvswitch"),
  };
  const children: ChildProcess[] = [];
  t.after(async () => {
    for (const child of children.reverse()) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      if (child.kill("SIGKILL")) await gone;
    }
    rmSync(run, { recursive: true, force: true });
  });
  const words: string[] = [];
  const start = (program: string, args: readonly string[]): void => {
    const child = within(netns, () =>
      spawn(join(root, program), [...args, "--pidfile", "--log-file"], {
        env,
        cwd: run,
        stdio: ["ignore", "ignore", "pipe"],
      }),
    );
    child.stderr?.setEncoding("utf8").on("data", (text: string) => words.push(text));
    children.push(child);
  };
  mkdirSync(run, { recursive: true });
  execFileSync(
    join(root, "usr/bin/ovsdb-tool"),
    ["create", database, join(root, "usr/share/openvswitch/vswitch.ovsschema")],
    { env },
  );
  const tool = (name: string, ...args: string[]): string => {
    const where = name === "ovs-vsctl" ? [`--db=unix:${socket}`] : [];
    const done = within(netns, () =>
      spawnSync(join(root, "usr/bin", name), [...where, ...args], { env, encoding: "utf8" }),
    );
    if (done.status !== 0) throw new Error(`${name} ${args.join(" ")}: ${done.stderr}${words.join("")}`);
    return done.stdout;
  };
  start("usr/sbin/ovsdb-server", [database, `--remote=punix:${socket}`]);
  await until("its database", () => existsSync(socket));
  // Its socket has a name before it takes calls.
  tool("ovs-vsctl", "--retry", "--no-wait", "init");
  start("usr/lib/openvswitch-switch/ovs-vswitchd", [`unix:${socket}`]);
  await until("its switch", () => existsSync(join(run, "ovs-vswitchd.pid")));
  return { socket, tool };

  async function until(what: string, condition: () => boolean): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (performance.now() > end) throw new Error(`gave up waiting for Open vSwitch, ${what}: ${words.join("")}`);
      await pause(10);
    }
  }
}

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestHost } from "../daemon.ts";

/** Everything that VMIs leave on a machine while they live, and may not leave afterwards; each a kind and its lines. */
export type Traces = Readonly<
  Record<"links" | "addresses" | "routes" | "rules" | "files" | "processes", readonly string[]>
>;

/** Files of the daemon itself, of SQLite, and what host-local keeps to go round its range. */
const OWN_FILES = /^(daemon\.log|patchbay\.pid|kubeconfig|.*\.db(-wal|-shm|-journal)?|cache\/.*)$/;
const ALLOCATOR_FILES = /\/(lock|last_reserved_ip\.\d+)$/;

/** What of `host` can be seen: in the namespace that stands for the machine, below the data folder, among the processes. */
export async function tracesOf(host: TestHost): Promise<Traces> {
  const listed = async (...argv: string[]): Promise<readonly string[]> =>
    (await host.run(argv)).stdout
      .split("\n")
      .map((line) => line.replace(/counter packets \d+ bytes \d+/, "counter").trimEnd())
      .filter((line) => line !== "");
  return {
    links: (await listed("ip", "-br", "link")).map((line) => line.split(/\s+/)[0]?.split("@")[0] ?? line),
    addresses: await listed("ip", "-br", "address"),
    routes: [...(await listed("ip", "route")), ...(await listed("ip", "-6", "route"))],
    rules: await listed("nft", "list", "ruleset"),
    files: await filesOf(host.dataDir),
    processes: processesOf(host.dataDir, await host.daemonPid()),
  };
}

/** The names of namespaces of these pods that are still there. */
export function namespacesOf(podUids: readonly string[]): readonly string[] {
  return readdirSync("/run/netns").filter((name) => podUids.some((uid) => name.includes(uid)));
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((name) => !OWN_FILES.test(name) && !ALLOCATOR_FILES.test(name))
    .sort();
}

/** Processes that run in the data folder or name it, but for the daemon. */
function processesOf(folder: string, daemonPid: number): readonly string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== daemonPid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        const at = readlinkSync(`/proc/${pid}/cwd`);
        return command.includes(folder) || at.startsWith(folder) ? [`${pid} ${at} ${command}`] : [];
      } catch {
        return [];
      }
    });
}

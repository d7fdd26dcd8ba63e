import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import type { Target } from "./api-connection.ts";
import type { Job, Load } from "./api-load.ts";
import { type EtcdLoad, etcdPuts } from "./etcd.ts";
import { type Bench, percentile, type Row, rounded, spread } from "./row.ts";

const WRITERS = 32;
const OBJECTS = 10_000;
/** Writes that are not stored, before those that are measured: a daemon runs for weeks, and V8 compiles in its first seconds. */
const WARM_UP = 5_000;
const PAGE = 500;
const LISTS = 5;
const WATCHERS = 1_000;
const WATCHED_WRITES = 500;
const GOAL_WRITES = 4_000;
const GOAL_P99_MS = 10;
const GOAL_LIST_MS = 1_000;
const GOAL_DELIVERIES = 50_000;
/** Clock ticks in a second, as /proc/PID/stat counts CPU time on Linux. */
const TICKS = 100;
const TMPFS = 0x01021994;

type Work = Job extends infer Each ? (Each extends { readonly target: Target } ? Omit<Each, "target"> : never) : never;

/** What the API takes over HTTPS, from a process of its own, and etcd beside it. */
export const api: Bench = {
  name: "api",
  about: `the API over HTTPS: ${WRITERS} writers, lists of ${OBJECTS} VMIs, ${WATCHERS} watchers; etcd beside it`,
  run: async (log) => {
    const folder = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
    try {
      log(machine(folder));
      const daemon = await startDaemon(join(folder, "data"));
      const rows: Row[] = [];
      const resident = (when: string): void => {
        rows.push(single(`api/memory ${when}`, daemon.residentMib(), "MiB"));
      };
      resident("at the start");
      const writes = async (what: string, work: "create" | "status", pace = 0): Promise<Load> => {
        const how = { work, from: 0, writers: WRITERS, pace } as const;
        await ask(daemon.target, { ...how, count: WARM_UP, dry: true });
        log(`${what}, ${OBJECTS} of them, after ${WARM_UP} that are not stored`);
        const before = daemon.cpuSeconds();
        const load = await ask(daemon.target, { ...how, count: OBJECTS, dry: false });
        rows.push(...writeRows(what, load, daemon.cpuSeconds() - before, pace > 0));
        return load;
      };
      await writes("create", "create");
      const { bytes } = await writes("status", "status");
      await writes(`status, ${GOAL_WRITES} due in a second`, "status", GOAL_WRITES);
      resident(`with ${OBJECTS} VMIs`);
      for (const [what, limit, table] of [
        ["in one answer", 0, false],
        [`in pages of ${PAGE}`, PAGE, false],
        [`as kubectl asks, in Tables of ${PAGE}`, PAGE, true],
      ] as const) {
        log(`list ${what}`);
        const load = await ask(daemon.target, { work: "list", limit, table, rounds: LISTS });
        const figures = spread(load.took);
        const goal = `all pages in under ${GOAL_LIST_MS} ms`;
        rows.push({ name: `api/list ${what}`, ...figures, unit: "ms", goal, met: figures.p95 < GOAL_LIST_MS });
      }
      resident("after lists");
      log(`${WATCHERS} watchers`);
      rows.push(await watchRow(daemon));
      resident(`after ${WATCHERS} watchers`);
      await daemon.stop();
      log(`etcd, ${OBJECTS} puts of ${bytes} bytes`);
      const peer = await etcdPuts(join(folder, "etcd"), { puts: OBJECTS, bytes, clients: WRITERS });
      if (typeof peer === "string") log(`without etcd: ${peer}`);
      return typeof peer === "string" ? rows : rows.map((row) => withPeer(row, peer));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

function machine(folder: string): string {
  const [first] = cpus();
  const memory = statfsSync(folder).type === TMPFS ? "; the folder is in memory: nothing here is durable" : "";
  return `${cpus().length} CPUs (${first?.model ?? "unknown"}), load ${loadavg()[0]?.toFixed(1)}, shared with the load generator${memory}`;
}

/** What is paced at the goal and answered late is late by its p99. */
function writeRows(what: string, load: Load, cpuSeconds: number, paced: boolean): readonly Row[] {
  const p99 = rounded(percentile(load.took, 0.99));
  const rates = { p50: rounded(percentile(load.rates, 0.5)), p95: rounded(percentile(load.rates, 0.05)) };
  return [
    {
      name: `api/${what}`,
      n: load.took.length,
      ...rates,
      unit: "writes/s",
      goal: `${GOAL_WRITES} writes/s over the whole time, p99 at most ${GOAL_P99_MS} ms`,
      met: (paced || load.rate >= GOAL_WRITES) && p99 <= GOAL_P99_MS,
    },
    { name: `api/${what}, each`, ...spread(load.took), p99, unit: "ms" },
    single(`api/${what}, the server's CPU time`, (cpuSeconds * 1_000_000) / load.took.length, "µs/write"),
  ];
}

async function watchRow(daemon: Daemon): Promise<Row> {
  const work = { work: "watch", watchers: WATCHERS, writes: WATCHED_WRITES, writers: WRITERS } as const;
  const load = await ask(daemon.target, work);
  return {
    name: `api/deliveries to ${WATCHERS} watchers`,
    n: WATCHERS * WATCHED_WRITES,
    p50: rounded(percentile(load.rates, 0.5)),
    p95: rounded(percentile(load.rates, 0.05)),
    unit: "events/s",
    goal: `${GOAL_DELIVERIES} events/s over the whole time`,
    met: load.rate >= GOAL_DELIVERIES,
  };
}

function withPeer(row: Row, { version, how, took, rates }: EtcdLoad): Row {
  const name = `etcd ${version}, ${how}`;
  if (row.unit === "writes/s") {
    const p50 = rounded(percentile(rates, 0.5));
    return { ...row, peer: { name, p50, p95: rounded(percentile(rates, 0.05)) }, ratio: rounded(row.p50 / p50) };
  }
  if (!row.name.endsWith(", each")) return row;
  const { p50, p95 } = spread(took);
  return { ...row, peer: { name, p50, p95 }, ratio: rounded(p50 / row.p50) };
}

function single(name: string, value: number, unit: string): Row {
  return { name, n: 1, p50: rounded(value), p95: rounded(value), unit };
}

interface Daemon {
  readonly target: Target;
  cpuSeconds(): number;
  residentMib(): number;
  stop(): Promise<void>;
}

async function startDaemon(folder: string): Promise<Daemon> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "api-daemon.ts"), folder], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child, "spawn");
  const target: Target = JSON.parse(await firstLine(child));
  const read = (file: string): string => readFileSync(`/proc/${child.pid}/${file}`, "utf8");
  return {
    target,
    cpuSeconds() {
      // Behind the name of the program, which may have spaces: utime and stime are fields 14 and 15 (proc(5)).
      const fields = read("stat")
        .replace(/^.*\) /s, "")
        .split(" ");
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    },
    residentMib: () => Number(/^VmRSS:\s+(\d+) kB/m.exec(read("status"))?.[1]) / 1024,
    async stop() {
      const ended = once(child, "exit");
      child.stdin.end();
      await ended;
    },
  };
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (text.includes("\n")) return text;
  }
  throw new Error("the server ended before it served");
}

async function ask(target: Target, work: Work): Promise<Load> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "api-load.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child, "spawn");
  child.stdin.end(JSON.stringify({ target, ...work }));
  let text = "";
  for await (const chunk of child.stdout) text += String(chunk);
  if (text === "") throw new Error(`the load generator failed at ${work.work}`);
  return JSON.parse(text);
}

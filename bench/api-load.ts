/** Asks the API for one kind of work, in a process of its own: `node bench/api-load.ts`, a Job as JSON on stdin, a Load on stdout. */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { type Connection, openConnection, TABLE, type Target } from "./api-connection.ts";
import { benchStatus, benchVmi } from "./api-objects.ts";

/** What is to be done. */
export type Job = { readonly target: Target } /** `dry`: all is done but the storing. */ & (
  | {
      readonly work: "create" | "status";
      readonly from: number;
      readonly count: number;
      readonly writers: number;
      readonly dry: boolean;
      /** Writes due in a second, each timed from when it was due; 0: one after the other, as fast as they are answered. */
      readonly pace: number;
    }
  /** `limit` 0: in one answer. */
  | { readonly work: "list"; readonly limit: number; readonly table: boolean; readonly rounds: number }
  | { readonly work: "watch"; readonly watchers: number; readonly writes: number; readonly writers: number }
);

/** How it went. */
export interface Load {
  /** Milliseconds of each call; of a list of all its pages. */
  readonly took: readonly number[];
  /** Work done in a second, by slices of the time: writes, or deliveries. */
  readonly rates: readonly number[];
  /** Work over the whole time. */
  readonly rate: number;
  /** Of the JSON of one object, or of one whole list. */
  readonly bytes: number;
  /** This process' own CPU time. */
  readonly cpuSeconds: number;
}

const VMIS = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances";
const ITEMS = Buffer.from('"uid":"');
const SLICES = 20;
/** Watches that are read in full; of the others lines are counted. */
const READ_IN_FULL = 10;
const OPENED_TOGETHER = 50;

const job: Job = JSON.parse(readFileSync(0, "utf8"));
const cpu = process.cpuUsage();
const load = await (job.work === "list" ? lists(job) : job.work === "watch" ? watches(job) : writes(job));
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(JSON.stringify({ ...load, cpuSeconds: (user + system) / 1_000_000 }));

type Measured = Omit<Load, "cpuSeconds">;

async function connections(count: number, target: Target): Promise<readonly Connection[]> {
  const opened: Connection[] = [];
  while (opened.length < count) {
    const more = Math.min(OPENED_TOGETHER, count - opened.length);
    opened.push(...(await Promise.all(Array.from({ length: more }, () => openConnection(target)))));
  }
  return opened;
}

/** Each connection takes the next index as soon as it is free. */
async function together(
  writers: readonly Connection[],
  count: number,
  write: (connection: Connection, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    writers.map(async (connection) => {
      while (next < count) {
        next += 1;
        await write(connection, next - 1);
      }
    }),
  );
}

async function writes({ work, target, from, count, writers, dry, pace }: Extract<Job, { work: "create" | "status" }>) {
  const open = await connections(writers, target);
  const took: number[] = [];
  const ends: number[] = [];
  let bytes = 0;
  const query = dry ? "?dryRun=All" : "";
  const begun = performance.now();
  await together(open, count, async (connection, index) => {
    const asked = pace === 0 ? performance.now() : await due(begun + (index * 1_000) / pace);
    const { code, body } =
      work === "create"
        ? await connection.call("POST", `${VMIS}${query}`, JSON.stringify(benchVmi(from + index)))
        : await changeStatus(connection, from + index, begun, query);
    const done = performance.now();
    if (code !== (work === "create" ? 201 : 200)) throw new Error(`HTTP ${code}: ${body.toString("utf8")}`);
    bytes = body.length;
    took.push(done - asked);
    ends.push(done);
  });
  const seconds = (performance.now() - begun) / 1_000;
  for (const connection of open) connection.close();
  return { took, rates: ratesOf(ends, begun), rate: count / seconds, bytes } satisfies Measured;
}

/** Waits until that time where it has not come, and gives it: who is late has kept the write waiting. */
async function due(time: number): Promise<number> {
  const ahead = time - performance.now();
  if (ahead > 0) await pause(ahead);
  return time;
}

/** A change that changes something: its text is of this run. */
function changeStatus(connection: Connection, index: number, run: number, query = "") {
  const body = JSON.stringify({ status: benchStatus(`${run} ${index}`) });
  return connection.call("PATCH", `${VMIS}/bench-${index}/status${query}`, body, "application/merge-patch+json");
}

/** In a second, of equal numbers of events that ended at these times. */
function ratesOf(ends: readonly number[], begun: number): readonly number[] {
  const size = Math.max(1, Math.floor(ends.length / SLICES));
  const rates: number[] = [];
  for (let at = size; at <= ends.length; at += size) {
    const [first, last] = [at === size ? begun : (ends[at - size - 1] ?? begun), ends[at - 1] ?? begun];
    rates.push((size * 1_000) / (last - first));
  }
  return rates;
}

async function lists({ target, limit, table, rounds }: Extract<Job, { work: "list" }>) {
  const connection = await openConnection(target);
  const took: number[] = [];
  let [bytes, items] = [0, 0];
  for (let round = 0; round < rounds; round += 1) {
    [bytes, items] = [0, 0];
    const begun = performance.now();
    let next = "";
    do {
      const query = limit === 0 ? "" : `?limit=${limit}${next === "" ? "" : `&continue=${next}`}`;
      const { code, body } = await connection.call("GET", `${VMIS}${query}`, "", table ? TABLE : undefined);
      if (code !== 200) throw new Error(`HTTP ${code}: ${body.toString("utf8")}`);
      bytes += body.length;
      for (let at = body.indexOf(ITEMS); at >= 0; at = body.indexOf(ITEMS, at + 1)) items += 1;
      next = /"continue":"([^"]+)"/.exec(body.toString("utf8", 0, 400))?.[1] ?? "";
    } while (next !== "");
    took.push(performance.now() - begun);
  }
  connection.close();
  const seconds = took.reduce((sum, each) => sum + each, 0) / 1_000;
  return { took, rates: [], rate: (items * rounds) / seconds, bytes } satisfies Measured;
}

async function watches({ target, watchers, writes: count, writers }: Extract<Job, { work: "watch" }>) {
  const first = await openConnection(target);
  const { body } = await first.call("GET", `${VMIS}?limit=1`);
  first.close();
  const version = /"resourceVersion":"(\d+)"/.exec(body.toString("utf8"))?.[1];
  const wanted = watchers * count;
  const ends: number[] = [];
  let [delivered, bytes] = [0, 0];
  const all = Promise.withResolvers<void>();
  const heard = (): void => {
    delivered += 1;
    if (delivered % 1_000 === 0) ends.push(performance.now());
    if (delivered === wanted) all.resolve();
  };
  const streams: Connection[] = [];
  const inFull: number[][] = [];
  for (let index = 0; index < watchers; index += OPENED_TOGETHER) {
    const some = await connections(Math.min(OPENED_TOGETHER, watchers - index), target);
    streams.push(...some);
    const codes = some.map((connection, nth) => {
      const versions: number[] | undefined = index + nth < READ_IN_FULL ? [] : undefined;
      if (versions !== undefined) inFull.push(versions);
      const path = `${VMIS}?watch=true&resourceVersion=${version}&timeoutSeconds=3600`;
      return connection.stream(path, (content) => {
        bytes += content.length;
        for (let from = 0, at = content.indexOf(10); at >= 0; from = at + 1, at = content.indexOf(10, from)) {
          if (versions !== undefined) versions.push(versionIn(content.toString("utf8", from, at)));
          heard();
        }
      });
    });
    for (const code of await Promise.all(codes)) if (code !== 200) throw new Error(`a watch was answered by ${code}`);
  }
  // Not before: the server closes a connection that asks nothing for long.
  const open = await connections(writers, target);
  const begun = performance.now();
  await together(open, count, async (connection, index) => {
    const { code } = await changeStatus(connection, index, begun);
    if (code !== 200) throw new Error(`HTTP ${code}`);
  });
  await all.promise;
  const seconds = (performance.now() - begun) / 1_000;
  for (const versions of inFull) {
    const sorted = [...new Set(versions)].toSorted((a, b) => a - b);
    if (versions.length !== count || versions.some((each, index) => each !== sorted[index])) {
      throw new Error("a watch did not tell of each change once, in order");
    }
  }
  const took = [seconds * 1_000];
  for (const connection of [...open, ...streams]) connection.close();
  return {
    took,
    rates: ratesOf(ends, begun).map((each) => each * 1_000),
    rate: wanted / seconds,
    bytes: bytes / wanted,
  };
}

function versionIn(line: string): number {
  const { object } = JSON.parse(line) as { object: { metadata: { resourceVersion: string } } };
  return Number(object.metadata.resourceVersion);
}

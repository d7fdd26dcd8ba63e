import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** What of a machine a test run must leave as it was: each a kind and the lines that stand for it. */
export type Snapshot = ReadonlyMap<string, readonly string[]>;

const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** A command's lines, or undefined where the machine has no such command or this user may not run it. */
function lines(program: string, args: readonly string[]): readonly string[] | undefined {
  const run = spawnSync(program, args, { encoding: "utf8", env: { ...process.env, PATH: path, LC_ALL: "C" } });
  if (run.status !== 0) return undefined;
  return run.stdout.split("\n").filter((line) => line.trim() !== "");
}

/** Names and pids of the processes whose name begins so. The kernel cuts names after 15 bytes. */
function processes(prefix: string): readonly string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const name = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
        return name.startsWith(prefix) ? [`${name} ${pid}`] : [];
      } catch {
        return [];
      }
    });
}

/** Counters and handles change of themselves. */
function rulesOf(listing: readonly string[]): readonly string[] {
  return listing.map((line) => line.replace(/counter packets \d+ bytes \d+/, "counter"));
}

/** Looks at the machine. */
export function snapshot(): Snapshot {
  const seen = new Map<string, readonly string[]>();
  const namespaces = lines("ip", ["netns", "list"]);
  if (namespaces !== undefined)
    seen.set(
      "network namespace",
      namespaces.map((line) => line.split(" ")[0] ?? line),
    );
  const links = lines("ip", ["-o", "link"]);
  if (links !== undefined)
    seen.set(
      "link",
      links.map((line) => line.split(": ")[1]?.split("@")[0] ?? line),
    );
  const rules = lines("nft", ["list", "ruleset"]);
  if (rules !== undefined) seen.set("nftables rule", rulesOf(rules));
  for (const name of ["qemu-system", "passt"]) seen.set(`${name} process`, processes(name));
  return seen;
}

/** What is there now and was not before, or the other way round, as sentences. */
export function differences(before: Snapshot, after: Snapshot): readonly string[] {
  const told: string[] = [];
  for (const [kind, now] of after) {
    const then = before.get(kind) ?? [];
    told.push(...surplus(now, then).map((line) => `left behind: ${kind} ${line.trim()}`));
    told.push(...surplus(then, now).map((line) => `taken away: ${kind} ${line.trim()}`));
  }
  return told;
}

/** What differs still after the kernel had half a minute to clean up behind a deleted namespace. */
export async function lastingDifferences(before: Snapshot): Promise<readonly string[]> {
  const until = performance.now() + 30_000;
  let told = differences(before, snapshot());
  while (told.length > 0 && performance.now() < until) {
    await delay(250);
    told = differences(before, snapshot());
  }
  return told;
}

/** The elements of `some` beyond those of `others`, counting repeats: a ruleset has equal lines. */
function surplus(some: readonly string[], others: readonly string[]): readonly string[] {
  const budget = new Map<string, number>();
  for (const line of others) budget.set(line, (budget.get(line) ?? 0) + 1);
  return some.filter((line) => {
    const left = budget.get(line) ?? 0;
    budget.set(line, left - 1);
    return left <= 0;
  });
}

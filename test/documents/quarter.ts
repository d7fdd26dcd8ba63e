import { spawnSync } from "node:child_process";

const QUARTERS = 4;

/**
 * Which quarters of the documents' manifests a run takes, from 1: one by its commit, so that each run of a commit takes
 * the same; every one where PATCHBAY_TEST_QUARTER is `all`, or the one that it names. Without a repository the first.
 */
export function quarters(): readonly number[] {
  const every = Array.from({ length: QUARTERS }, (_, index) => index + 1);
  const wanted = process.env["PATCHBAY_TEST_QUARTER"];
  if (wanted === "all") return every;
  if (wanted !== undefined) {
    const named = every.filter((quarter) => String(quarter) === wanted);
    if (named.length === 0) throw new Error(`PATCHBAY_TEST_QUARTER is ${wanted}: say all, or 1 to ${QUARTERS}`);
    return named;
  }
  const { stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: import.meta.dirname, encoding: "utf8" });
  const commit = /^[0-9a-f]{40}/.exec(stdout ?? "")?.[0] ?? "0";
  return [1 + (Number.parseInt(commit.slice(0, 8), 16) % QUARTERS)];
}

import { join } from "node:path";
import { parse } from "yaml";
import type { Stored } from "../src/model/api/stored.ts";
import type { VirtualMachineInstance } from "../src/model/api/vmi.ts";
import { blankManifest } from "../test/blank-guest.ts";
import { type CannotStart, type Lab, makeLab, waysNotToStart } from "../test/cannot-start.ts";
import { TestHost } from "../test/daemon.ts";
import type { Assignment } from "./condition-timer.ts";
import { type Bench, type Row, spread } from "./row.ts";

const ROUNDS = 10;
const GOAL_MS = 1000;
const NAME = "bench";

/** How long somebody who applied a VMI that cannot start waits until its condition says why. */
export const failures: Bench = {
  name: "failures",
  about: "from the API call that creates a VMI to its condition with the code, seen by a watch",
  run: async (log) => {
    const host = await TestHost.create();
    try {
      const lab = await makeLab(host);
      const rows: Row[] = [];
      for (const way of waysNotToStart) {
        log(way.what);
        rows.push(...(await measured(lab, way)));
      }
      return rows;
    } finally {
      await host.dispose();
    }
  },
};

async function measured(lab: Lab, way: CannotStart): Promise<readonly Row[]> {
  const breakage = await way.breaks?.(lab);
  try {
    const end = { condition: "Synchronized", reason: way.code } as const;
    // A plugin that hangs is told of while it is waited for; the end of the wait is the user's own time limit.
    if (way.code !== "PB3008") return [row(way.what, await times(lab, way, end), true)];
    const told = { condition: "Ready", reason: "PB3028" } as const;
    return [
      row(`${way.what}: told while it is waited for`, await times(lab, way, told), true),
      row(`${way.what}: given up, with --cni-timeout 2`, await times(lab, way, end), false),
    ];
  } finally {
    await breakage?.mend();
    await breakage?.clear?.();
    await lab.network.sound();
  }
}

async function times(
  { host }: Lab,
  way: CannotStart,
  wanted: Pick<Assignment, "condition" | "reason">,
): Promise<readonly number[]> {
  const manifest = (way.manifest ?? ((name: string) => blankManifest({ name })))(NAME);
  const vmi: Stored<VirtualMachineInstance> = parse(manifest);
  const assignment: Assignment = { vmi, ...wanted, rounds: ROUNDS };
  const outcome = await host.run(
    [process.execPath, join(import.meta.dirname, "condition-timer.ts"), join(host.dataDir, "kubeconfig")],
    { input: JSON.stringify(assignment) },
  );
  const taken: unknown = outcome.code === 0 ? JSON.parse(outcome.stdout) : undefined;
  if (!Array.isArray(taken)) throw new Error(`${way.what}: the timer failed: ${outcome.stderr}`);
  return taken.map(Number);
}

function row(what: string, samples: readonly number[], toGoal: boolean): Row {
  const figures = spread(samples);
  return {
    name: `failures/${what}`,
    ...figures,
    unit: "ms",
    ...(toGoal ? { goal: `p95 under ${GOAL_MS} ms`, met: figures.p95 < GOAL_MS } : {}),
  };
}

/**
 * Runs inside the namespace of a daemon: applies a VMI, watches until its condition says the reason, deletes it, again.
 *
 * `node bench/condition-timer.ts KUBECONFIG`, with an Assignment as JSON on stdin; prints the times in ms as JSON.
 */
import { readFileSync } from "node:fs";
import { makeKubeClient } from "../src/client/client.ts";
import { loadKubeconfig } from "../src/client/kubeconfig.ts";
import { vmiResource } from "../src/model/api/references.ts";
import type { Stored } from "../src/model/api/stored.ts";
import type { VirtualMachineInstance } from "../src/model/api/vmi.ts";

/** What is to be timed. */
export interface Assignment {
  readonly vmi: Stored<VirtualMachineInstance>;
  readonly condition: "Ready" | "Synchronized";
  readonly reason: string;
  readonly rounds: number;
}

type Vmi = Stored<VirtualMachineInstance>;

const DEADLINE_MS = 30_000;

const client = makeKubeClient(loadKubeconfig(process.argv[2] ?? ""));
const assignment: Assignment = JSON.parse(readFileSync(0, "utf8"));
const times: number[] = [];
for (let round = 0; round < assignment.rounds; round += 1) times.push(await once(assignment));
client.close();
process.stdout.write(`${JSON.stringify(times)}\n`);

async function once({ vmi, condition, reason }: Assignment): Promise<number> {
  const { namespace, name } = vmi.metadata;
  const { resourceVersion } = await client.list<Vmi>(vmiResource, { namespace });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const watch = client.watch<Vmi>(vmiResource, { namespace, resourceVersion, signal });
  // The watch is open before the VMI is applied: the first step of a generator opens it.
  const events = watch[Symbol.asyncIterator]();
  let next = events.next();
  const began = performance.now();
  await client.create<Vmi>(vmiResource, vmi);
  let took: number | undefined;
  for (;;) {
    const { value, done } = await next;
    if (done === true) throw new Error(`${name} did not say ${reason} and go within ${DEADLINE_MS / 1000} s`);
    if (value.object.metadata.name === name) {
      if (value.type === "DELETED") break;
      const conditions = value.object.status?.conditions ?? [];
      if (took === undefined && conditions.some((one) => one.type === condition && one.reason === reason)) {
        took = performance.now() - began;
        await client.delete(vmiResource, { namespace, name });
      }
    }
    next = events.next();
  }
  await events.return?.();
  if (took === undefined) throw new Error(`${name} went without saying ${reason}`);
  return took;
}

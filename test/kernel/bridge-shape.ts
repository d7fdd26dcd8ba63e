import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { readActualHere } from "../../src/host/linux/actual.ts";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { executeHere } from "../../src/host/linux/execute.ts";
import { within } from "../../src/host/linux/netns.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { readBeforeHere, undoHere } from "../../src/host/linux/undo.ts";
import { type Actual, needsReading, type Step, stepsTo } from "../../src/model/wiring/steps.ts";
import type { KernelState } from "../../src/model/wiring/wiring.ts";
import { needs } from "../needs.ts";
import { bridgeNeeds, changesSince, type PodShape, settledLines, withPod } from "./bridge-pod.ts";

/** Whether the machine has what a test of the shape needs; else the test is skipped. */
export function able(t: TestContext, shape: PodShape): boolean {
  return needs(t, ...bridgeNeeds) && (shape.needs ?? []).every((need) => needs(t, need));
}

/** What a pod holds of the things that a wiring names. */
export function read(path: string, wanted: KernelState): Actual {
  return within(path, () => readActualHere(needsReading(wanted)));
}

/** Ends taps. */
export async function closeAll(taps: ReadonlyMap<string, readonly number[]>): Promise<void> {
  await closeFds([...taps.values()].flat());
}

/** A step that every kernel refuses. */
const refused: Step = { do: "link.set", name: "no-such-link", mtu: 1400 };

/** Tests that hold for every pod: done and done twice, taken back wherever it fails, gone on with wherever it stopped. */
export function testShape(shape: PodShape): void {
  test(`the guest's tap takes the place of the pod's link: ${shape.what}`, async (t) => {
    if (!able(t, shape)) return;
    await withPod(shape, async ({ path, wiring: { kernel: wanted } }) => {
      const { taps } = applyKernel(path, wanted);
      const { links } = read(path, wanted);
      assert.deepEqual(links.map(({ name }) => name).sort(), ["lo", ...shape.links].sort());
      for (const link of wanted.links) {
        const there = links.find(({ name }) => name === link.name);
        assert.deepEqual([there?.mac, there?.mtu, there?.up], [link.mac, link.mtu, link.kind !== "dummy"], link.name);
        assert.equal(there?.master, "master" in link ? link.master : undefined, link.name);
        if (link.kind !== "pod" || link.name === link.from) continue;
        assert.equal(there?.learning, link.master === undefined ? undefined : false);
        const kept = wanted.addresses.filter((address) => address.link === link.name).map(({ cidr }) => cidr);
        assert.deepEqual(there?.addresses, kept);
      }
      for (const { link, cidr } of wanted.addresses) {
        assert.ok(links.find(({ name }) => name === link)?.addresses.includes(cidr), `${cidr} on ${link}`);
      }
      assert.deepEqual(applyKernel(path, wanted, { taps }).steps, [], "applied twice, nothing is done");
      await closeAll(taps);
    });
  });

  test(`wherever it fails, the pod gets its link back with all that it had: ${shape.what}`, async (t) => {
    if (!able(t, shape)) return;
    await withPod(shape, async ({ path, wiring: { kernel: wanted } }) => {
      const before = await settledLines(path);
      const steps = within(path, () => stepsTo(wanted, readActualHere(needsReading(wanted))));
      for (let stop = 0; stop <= steps.length; stop += 1) {
        const left = within(path, (): string[] => {
          const known = readBeforeHere(readActualHere(needsReading(wanted)), steps);
          const outcome = executeHere([...steps.slice(0, stop), refused, ...steps.slice(stop)]);
          assert.deepEqual(outcome.failure?.step, refused);
          return undoHere(outcome, known);
        });
        const where = `refused after ${stop} steps`;
        assert.deepEqual([left, await changesSince(before, path)], [[], []], where);
      }
    });
  });

  test(`wherever a daemon died, the next one goes on to the same end: ${shape.what}`, async (t) => {
    if (!able(t, shape)) return;
    let whole: readonly string[] | undefined;
    for (let stop = Number.POSITIVE_INFINITY; stop >= 0; stop -= 1) {
      await withPod(shape, async ({ path, wiring: { kernel: wanted } }) => {
        const steps = stepsTo(wanted, read(path, wanted));
        stop = Math.min(stop, steps.length);
        const { taps } = within(path, () => executeHere(steps.slice(0, stop)));
        // A daemon that dies before QEMU has the taps takes them with it.
        await closeAll(taps);
        const rest = applyKernel(path, wanted);
        assert.deepEqual(applyKernel(path, wanted, { taps: rest.taps }).steps, [], `stopped after ${stop}`);
        whole ??= await settledLines(path);
        // Links that the bridge has no part in may still be waiting for theirs.
        assert.deepEqual(await changesSince(whole, path, /fe80|ff00::/), [], `stopped after ${stop}`);
        await closeAll(rest.taps);
      });
    }
  });
}

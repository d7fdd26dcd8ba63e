import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { readActualHere } from "../../src/host/linux/actual.ts";
import { applyKernel } from "../../src/host/linux/apply.ts";
import { executeHere } from "../../src/host/linux/execute.ts";
import { within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { readBeforeHere, undoHere } from "../../src/host/linux/undo.ts";
import { type PodFacts, parsePodFacts } from "../../src/model/wiring/facts.ts";
import { nicContexts, wire } from "../../src/model/wiring/nics.ts";
import { stepText } from "../../src/model/wiring/step-text.ts";
import { type Actual, needsReading, type Step, stepsTo } from "../../src/model/wiring/steps.ts";
import type { KernelState, Wiring } from "../../src/model/wiring/wiring.ts";
import { needs } from "../needs.ts";
import {
  bridgeNeeds,
  changesSince,
  devicesOf,
  type PodShape,
  registered,
  settledLines,
  withPod,
} from "./bridge-pod.ts";

/** So many pods are tested at once: mostly they wait for what the kernel does a moment later. */
export const AT_ONCE = 6;

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

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) frozen(inner);
  }
  return value;
}

function factsOf(path: string, shape: PodShape): PodFacts {
  return {
    podUid: "11111111-2222-3333-4444-555555555555",
    ...readLinks(path),
    resolver: { nameservers: ["10.96.0.10"], search: ["default.svc.cluster.local"], options: [] },
    networkStatus: [],
    ...devicesOf(shape),
  };
}

/** The wiring of a shape on these facts, of a manifest that nobody may change meanwhile. */
function wiringOn({ nics, annotations = {} }: PodShape, facts: PodFacts): Wiring {
  const spec = {
    domain: { devices: { interfaces: nics.map(([iface], index) => ({ name: `nic${index}`, ...iface })) } },
    networks: nics.map(([, network], index) => ({ name: `nic${index}`, ...network })),
  };
  return wire(
    frozen(nicContexts({ spec: frozen(spec), hostName: "guest", annotations, plugins: registered })),
    frozen(facts),
  );
}

/**
 * What every binding owes to whatever pod it is put in: a wiring that follows from the facts alone, done once and no more,
 * taken back wherever it fails, gone on with wherever it stopped.
 */
export function testCompliance(shape: PodShape): void {
  test(`the wiring is plain data, the same for the same facts, kept ones too: ${shape.what}`, async (t) => {
    if (!able(t, shape)) return;
    await withPod(shape, ({ path, wiring }) => {
      const facts = factsOf(path, shape);
      const kept = parsePodFacts(JSON.stringify(facts));
      assert.ok(kept !== undefined);
      for (const again of [wiringOn(shape, facts), wiringOn(shape, factsOf(path, shape)), wiringOn(shape, kept)])
        assert.deepEqual(again, wiring);
      assert.deepEqual(JSON.parse(JSON.stringify(wiring)), wiring);
    });
  });

  test(`applied, it is there; applied twice, nothing is done: ${shape.what}`, async (t) => {
    if (!able(t, shape)) return;
    await withPod(shape, async ({ path, wiring: { kernel: wanted } }) => {
      const { steps, taps } = applyKernel(path, wanted);
      assert.ok(steps.length > 0);
      assert.deepEqual(stepsTo(wanted, read(path, wanted)).map(stepText), []);
      const whole = await settledLines(path);
      assert.deepEqual(applyKernel(path, wanted, { taps }).steps, []);
      assert.deepEqual(await changesSince(whole, path), []);
      await closeAll(taps);
    });
  });

  test(`wherever it fails, the pod is as it was: ${shape.what}`, async (t) => {
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
        // Links that the binding has no part in may still be waiting for theirs.
        assert.deepEqual(await changesSince(whole, path, /fe80|ff00::/), [], `stopped after ${stop}`);
        await closeAll(rest.taps);
      });
    }
  });
}

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { readActualHere } from "../../src/host/linux/actual.ts";
import { executeHere } from "../../src/host/linux/execute.ts";
import { deleteNetns, listNetns, within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { readBeforeHere, undoHere } from "../../src/host/linux/undo.ts";
import { needsReading, stepsTo } from "../../src/model/wiring/steps.ts";
import { bridgeNeeds, changesSince, PREFIX, settledLines, shapes, withPod } from "../kernel/bridge-pod.ts";
import { needs } from "../needs.ts";

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

const [dualStack] = shapes;
assert.ok(dualStack !== undefined);

// The tests of the kernel level hold what a stand-in has to be on the bridge that takes its place where there are no dummies.
test("where the kernel has dummies, one stands in for the pod's link, with all its addresses, until it is taken back", async (t) => {
  if (!needs(t, ...bridgeNeeds, "dummy")) return;
  await withPod(dualStack, async ({ path, wiring: { kernel: wanted } }) => {
    const before = await settledLines(path);
    const actual = within(path, () => readActualHere(needsReading(wanted)));
    const steps = stepsTo(wanted, actual);
    const [known, outcome] = within(path, () => [readBeforeHere(actual, steps), executeHere(steps)] as const);
    assert.equal(outcome.failure, undefined);
    const standIn = readLinks(path).links.find(({ name }) => name === "eth0");
    assert.deepEqual([standIn?.kind, standIn?.up], ["dummy", false]);
    assert.deepEqual(standIn?.addresses.map(({ cidr }) => cidr).toSorted(), [
      "10.244.0.5/24",
      "10.244.0.6/24",
      "fd10:244::5/64",
      "fd10:244::6/64",
    ]);
    assert.deepEqual(
      within(path, () => undoHere(outcome, known)),
      [],
    );
    assert.deepEqual(await changesSince(before, path), []);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { withCondition, withoutCondition } from "./conditions.ts";
import { assign, claim, enterPhase, inOrder } from "./vmi.ts";

test("a condition's transition time moves with its status only", () => {
  const first = withCondition([], { type: "Ready", status: "False", reason: "A", message: "a" }, "t1");
  const reworded = withCondition(first, { type: "Ready", status: "False", reason: "B", message: "b" }, "t2");
  assert.equal(reworded[0]?.lastTransitionTime, "t1");
  const turned = withCondition(reworded, { type: "Ready", status: "True" }, "t3");
  assert.equal(turned[0]?.lastTransitionTime, "t3");
  assert.equal(turned[0]?.message, undefined);
});

test("saying the same again changes nothing, so that no write follows", () => {
  const once = withCondition([], { type: "Ready", status: "True" }, "t1");
  assert.equal(withCondition(once, { type: "Ready", status: "True" }, "t2"), once);
  assert.equal(withoutCondition(once, "Paused"), once);
  assert.deepEqual(withoutCondition(once, "Ready"), []);
});

test("a phase is entered once and its time is kept", () => {
  const change = inOrder(enterPhase("Running"), assign({ nodeName: "n" }), claim({ type: "Ready", status: "True" }));
  const running = change({}, "t1");
  assert.equal(running.phase, "Running");
  assert.deepEqual(running.phaseTransitionTimestamps, [{ phase: "Running", phaseTransitionTimestamp: "t1" }]);
  assert.deepEqual(change(running, "t2"), running);
});

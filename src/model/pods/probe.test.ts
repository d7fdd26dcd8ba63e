import assert from "node:assert/strict";
import { test } from "node:test";
import type { VmiSpec } from "../api/vmi.ts";
import { type ProbeState, probed, probePlan } from "./probe.ts";

type Probe = NonNullable<VmiSpec["readinessProbe"]>;

function planOf(probe: Probe, key: "readinessProbe" | "livenessProbe" = "readinessProbe") {
  const interfaces = [{ name: "default", masquerade: {}, ports: [{ name: "web", port: 8080 }] }];
  const plan = probePlan({ domain: { devices: { interfaces } }, [key]: probe }, key);
  assert.ok(plan !== undefined);
  return plan;
}

test("defaults are Kubernetes'", () => {
  const { way, ...times } = planOf({ tcpSocket: { port: 80 } });
  assert.deepEqual(way, { kind: "tcp", port: 80 });
  assert.deepEqual(times, {
    initialDelayMs: 0,
    timeoutMs: 1_000,
    periodMs: 10_000,
    successThreshold: 1,
    failureThreshold: 3,
  });
  assert.equal(planOf({ guestAgentPing: {}, successThreshold: 4 }, "livenessProbe").successThreshold, 1);
  assert.equal(probePlan({ domain: { devices: {} } }, "readinessProbe"), undefined);
});

test("ways of probing", () => {
  assert.deepEqual(
    planOf({ httpGet: { port: "web", scheme: "HTTPS", httpHeaders: [{ name: "a", value: "b" }] } }).way,
    {
      kind: "http",
      port: 8080,
      path: "/",
      secure: true,
      headers: [["a", "b"]],
    },
  );
  assert.deepEqual(planOf({ exec: { command: ["cat", "/ready"] } }).way, { kind: "exec", command: ["cat", "/ready"] });
  assert.deepEqual(planOf({ guestAgentPing: {} }).way, { kind: "agentPing" });
  for (const probe of [{ tcpSocket: { port: "none" } }, { tcpSocket: { port: 0 } }, { exec: {} }, {}]) {
    assert.equal(planOf(probe).way.kind, "never");
  }
});

test("a verdict falls when one outcome came often enough in a row, and holds until the other did", () => {
  const plan = { ...planOf({ guestAgentPing: {} }), successThreshold: 2, failureThreshold: 3 };
  const verdicts = (outcomes: string): readonly (boolean | undefined)[] => {
    let state: ProbeState = { row: 0 };
    return [...outcomes].map((outcome) => {
      state = probed(state, outcome === "+", plan);
      return state.verdict;
    });
  };
  assert.deepEqual(verdicts("+-++"), [undefined, undefined, undefined, true]);
  assert.deepEqual(verdicts("++--+---"), [undefined, true, true, true, true, true, true, false]);
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Registry } from "prom-client";
import { makeApiMetrics } from "../apiserver/api-metrics.ts";
import { LIMITED } from "../apiserver/limits.ts";
import { makeDaemonMetrics } from "./daemon-metrics.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/metrics.md"), "utf8");

/** Everything that the daemon registers, as the daemon does. */
function registered() {
  const registry = new Registry();
  const daemon = makeDaemonMetrics(registry);
  const api = makeApiMetrics(registry, {
    watchers: () => 2,
    connections: () => 3,
    auditLost: () => 0,
    storeBytes: () => ({ "store.db": 4096 }),
    storedObjects: () => new Map([["pods", 7]]),
    revision: () => 9,
    certificateEnds: () => 1_800_000_000_999,
  });
  return { registry, daemon, api };
}

/** The lines of a registry's answer that begin with this. */
const shown = async (registry: Registry, prefix: string) =>
  (await registry.metrics()).split("\n").filter((line) => line.startsWith(prefix));

describe("docs/metrics.md", () => {
  test("has a line for each metric, with its type and labels, and none for what is not there", async () => {
    const { registry } = registered();
    const text = await registry.metrics();
    const held = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
    const written = [...page.matchAll(/^\| `(\w+)` \| (\w+) \|/gm)].map(([, name, type]) => `${name} ${type}`);
    assert.deepEqual(written.toSorted(), held.toSorted());
    assert.equal(new Set(written).size, written.length);
  });

  test("names each metric's labels", () => {
    const { registry } = registered();
    for (const metric of registry.getMetricsAsArray()) {
      const line = page.split("\n").find((each) => each.startsWith(`| \`${metric.name}\` |`)) ?? "";
      const labels = [...(line.split("|")[3] ?? "").matchAll(/`(\w+)`/g)].map(([, label]) => label);
      assert.deepEqual(labels, "labelNames" in metric ? metric.labelNames : [], metric.name);
    }
  });

  test("names each value of the labels whose values are fixed", () => {
    const told = (metric: string): string =>
      page.split("\n").find((line) => line.startsWith(`| \`${metric}\` |`)) ?? "";
    for (const limit of LIMITED) assert.ok(told("patchbay_api_limited_total").includes(`\`${limit}\``), limit);
    for (const service of ["dhcp4", "dhcp6", "ra"]) {
      assert.ok(told("patchbay_served_messages_total").includes(`\`${service}\``), service);
    }
  });

  test("writes of none in its expressions that there is not", () => {
    const { registry } = registered();
    const names = new Set(registry.getMetricsAsArray().map(({ name }) => name));
    for (const [name] of page.matchAll(/patchbay_\w+/g)) {
      assert.ok(names.has(name.replace(/_(?:bucket|sum|count)$/, "")) || names.has(name), name);
    }
  });
});

describe("the daemon's metrics", () => {
  test("tell the state of queues, phases, served messages and wirings", async () => {
    const { registry, daemon } = registered();
    daemon.queue("node")({ waiting: 4, running: 1, delayed: 2, runs: 10, failures: 3 });
    daemon.guests(() => new Map([["Running", 5]]));
    daemon.served({ service: "dhcp4", kind: "failed" });
    daemon.applied(0.003, 6);
    daemon.applied(0.001, 0);
    assert.deepEqual(await shown(registry, "patchbay_queue_"), [
      'patchbay_queue_depth{queue="node"} 4',
      'patchbay_queue_running{queue="node"} 1',
      'patchbay_queue_delayed{queue="node"} 2',
      'patchbay_queue_runs_total{queue="node"} 10',
      'patchbay_queue_retries_total{queue="node"} 3',
    ]);
    const phases = await shown(registry, "patchbay_vmi_phase_count");
    assert.ok(phases.includes('patchbay_vmi_phase_count{phase="Running"} 5'));
    assert.ok(phases.includes('patchbay_vmi_phase_count{phase="Failed"} 0'));
    assert.deepEqual(await shown(registry, "patchbay_served_messages_total"), [
      'patchbay_served_messages_total{service="dhcp4",event="failed"} 1',
    ]);
    assert.deepEqual(await shown(registry, "patchbay_network_apply_steps_total"), [
      "patchbay_network_apply_steps_total 6",
    ]);
    assert.deepEqual(await shown(registry, "patchbay_network_apply_duration_seconds_count"), [
      'patchbay_network_apply_duration_seconds_count{changed="true"} 1',
      'patchbay_network_apply_duration_seconds_count{changed="false"} 1',
    ]);
  });

  test("of the API count by what is served, so that clients make no labels", async () => {
    const { registry, api } = registered();
    const vmis = { verb: "list", group: "kubevirt.io", resource: "virtualmachineinstances" };
    api.answered(vmis, true, { code: 200, seconds: 0.004 });
    api.answered({ verb: "BREW", group: "tea", resource: "pots" }, false, { code: 404, seconds: 0.001 });
    api.answered({ ...vmis, verb: "watch" }, true, { code: 200, seconds: 900 });
    api.turnedAway(401);
    api.limited("watches");
    api.committed(0.002, 12);
    assert.deepEqual(await shown(registry, "patchbay_api_requests_total"), [
      'patchbay_api_requests_total{verb="list",resource="virtualmachineinstances.kubevirt.io",code="200"} 1',
      'patchbay_api_requests_total{verb="other",resource="unknown",code="404"} 1',
      'patchbay_api_requests_total{verb="watch",resource="virtualmachineinstances.kubevirt.io",code="200"} 1',
      'patchbay_api_requests_total{verb="other",resource="",code="401"} 1',
    ]);
    const timed = await shown(registry, "patchbay_api_request_duration_seconds_count");
    assert.ok(!timed.some((line) => line.includes("watch")), "a watch's length is no duration of a request");
    assert.deepEqual(await shown(registry, "patchbay_api_limited_total"), [
      'patchbay_api_limited_total{limit="watches"} 1',
    ]);
    assert.deepEqual(await shown(registry, "patchbay_store_commit_writes_sum"), [
      "patchbay_store_commit_writes_sum 12",
    ]);
    assert.deepEqual(await shown(registry, "patchbay_store_objects"), ['patchbay_store_objects{resource="pods"} 7']);
    assert.deepEqual(await shown(registry, "patchbay_certificate_expiry_timestamp_seconds"), [
      "patchbay_certificate_expiry_timestamp_seconds 1800000000",
    ]);
  });
});

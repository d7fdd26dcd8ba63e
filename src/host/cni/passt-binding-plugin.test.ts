import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCniResult } from "../../model/networks/cni-result.ts";
import { builtinPlugin } from "./builtin.ts";

const call = { type: "kubevirt-passt-binding", network: "n", containerId: "c", ifName: "net1", args: [], binDirs: [] };

test("KubeVirt's plugin for passt is built in: it hands on what the plugin before it made, or nothing", async () => {
  const plugin = builtinPlugin("kubevirt-passt-binding", []);
  assert.ok(plugin !== undefined);
  const nothing = await plugin({ ...call, command: "ADD", config: {} });
  const reading = parseCniResult(nothing, "1.0.0");
  assert.ok("result" in reading);
  assert.deepEqual([reading.result.interfaces, reading.result.ips, reading.result.routes], [[], [], []]);
  const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }] };
  assert.equal(await plugin({ ...call, command: "ADD", config: { prevResult } }), prevResult);
  for (const command of ["CHECK", "DEL"] as const)
    assert.equal(await plugin({ ...call, command, config: {} }), undefined);
});

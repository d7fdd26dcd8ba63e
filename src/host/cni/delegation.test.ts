import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isFault } from "../../model/fault.ts";
import type { PodNetworks } from "../../model/networks/network-selection.ts";
import { type Definition, delegatesOf } from "./delegation.ts";

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A CNI configuration folder of these files; each a plugin's object. */
function confDir(files: Readonly<Record<string, object>>): string {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-delegation-"));
  folders.push(folder);
  for (const [name, config] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(config));
  return folder;
}

const weave = { cniVersion: "0.3.1", name: "cbr0", type: "weave" };
const ovs = { cniVersion: "0.3.1", name: "ovsnet", type: "ovs" };
const genie = { cniVersion: "0.3.0", name: "k8s-pod-network", type: "genie" };
const nothing: PodNetworks = { selections: [], genie: [] };

function definition(name: string, config: unknown, namespace = "default"): Definition {
  return { namespace, name, config: typeof config === "string" ? config : JSON.stringify(config) };
}

const delegates = (wanted: Partial<PodNetworks>, folder: string, definitions: readonly Definition[] = []) =>
  delegatesOf(
    { ...nothing, ...wanted },
    { confDir: folder, binDirs: [], definitions: () => Promise.resolve(definitions) },
  );

const selection = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  namespace: "default",
  name,
  interface: "net1",
  runtimeConfig: {},
  ...more,
});

const refused = (code: string, says: RegExp) => (thrown: unknown) =>
  isFault(thrown) && thrown.code === code && says.test(`${thrown.message} ${thrown.cure} ${thrown.place}`);

test("a pod without wishes has the first configuration of the folder, and nobody lists definitions for it", async () => {
  const folder = confDir({ "10-a.conf": weave, "20-b.conf": ovs });
  const definitions = () => Promise.reject(new Error("asked"));
  const [only, ...more] = await delegatesOf(nothing, { confDir: folder, binDirs: [], definitions });
  assert.deepEqual([only?.network.name, only?.ifName, only?.primary, more.length], ["cbr0", "eth0", true, 0]);
});

test("a definition is attached with its name, a MAC and arguments as Multus gives them", async () => {
  const folder = confDir({ "10-a.conf": weave });
  const config = { cniVersion: "0.4.0", type: "macvlan", args: { cni: { kept: 1, color: "blue" } } };
  const wish = selection("lan", { mac: "02:00:00:00:00:01", ips: ["10.0.0.9/24"], cniArgs: { color: "red" } });
  const [, lan] = await delegates({ selections: [wish] }, folder, [definition("lan", config)]);
  assert.equal(lan?.definition, "default/lan");
  assert.equal(lan?.network.name, "lan");
  assert.deepEqual(lan?.network.plugins[0]?.config["args"], { cni: { kept: 1, color: "red" } });
  assert.deepEqual(lan?.args, [
    ["MAC", "02:00:00:00:00:01"],
    ["IP", "10.0.0.9/24"],
  ]);
  assert.deepEqual(lan?.runtimeConfig, { mac: "02:00:00:00:00:01", ips: ["10.0.0.9/24"] });
});

test("a definition in the cluster's place leaves the folder alone, and an empty one means the file of its name", async () => {
  const main = definition("main", { name: "m", type: "ptp" }, "net");
  const [only] = await delegates({ primary: { namespace: "net", name: "main" } }, "/nowhere", [main]);
  assert.deepEqual([only?.network.name, only?.ifName, only?.primary], ["m", "eth0", true]);
  const folder = confDir({ "10-a.conf": weave, "99-ovs.conf": ovs });
  const [, empty] = await delegates({ selections: [selection("ovsnet")] }, folder, [definition("ovsnet", " ")]);
  assert.equal(empty?.network.plugins[0]?.type, "ovs");
  await assert.rejects(
    delegates({ selections: [selection("lan")] }, folder, [definition("lan", "")]),
    refused("PB3001", /of the name "lan"/),
  );
});

test("what is missing is named with what may be meant", async () => {
  const folder = confDir({ "10-a.conf": weave });
  const there = [definition("warehouse", ovs, "net"), definition("lan", ovs), definition("odd", '{"name": "odd"')];
  const ask = (name: string) => delegates({ selections: [selection(name)] }, folder, there);
  await assert.rejects(ask("warehouse"), refused("PB3030", /write networkName: net\/warehouse/));
  await assert.rejects(ask("lam"), refused("PB3030", /Did you mean "lan"/));
  await assert.rejects(ask("other"), refused("PB3030", /starts by itself/));
  await assert.rejects(ask("odd"), refused("PB3003", /NetworkAttachmentDefinition default\/odd/));
});

test("S2.18 S2.21 S2.22: Genie's networks are found by CNI type, in their order, with Genie's own configuration first", async () => {
  const folder = confDir({ "00-genie.conf": genie, "10-weave.conf": weave, "99-ovs.conf": ovs });
  const two = await delegates({ genie: ["ovs", "weave"] }, folder);
  assert.deepEqual(
    two.map(({ ifName, primary, network }) => [ifName, primary, network.name]),
    [
      ["eth0", true, "ovsnet"],
      ["eth1", false, "cbr0"],
    ],
  );
  const { name: _, ...nameless } = ovs;
  const [unnamed] = await delegates(
    { genie: ["ovs"] },
    confDir({ "00-genie.conf": genie, "99-ovs-cni.conf": nameless }),
  );
  assert.equal(unnamed?.network.name, "99-ovs-cni", "as the documentation has it");
  await assert.rejects(delegates({ genie: ["waeve"] }, folder), refused("PB2706", /Did you mean "weave"/));
  const late = confDir({ "10-weave.conf": weave, "99-genie.conf": genie });
  await assert.rejects(delegates({ genie: ["weave"] }, late), refused("PB2704", /10-weave\.conf.*00-genie\.conf/));
});

test("a pod that Genie is not asked for gets Genie's default plugin, else the next configuration", async () => {
  const chosen = async (own: object) =>
    (await delegates({}, confDir({ "00-genie.conf": own, "10-a.conf": weave, "20-b.conf": ovs })))[0]?.network.name;
  assert.equal(await chosen(genie), "cbr0");
  assert.equal(await chosen({ ...genie, default_plugin: "ovs" }), "ovsnet");
  await assert.rejects(delegates({}, confDir({ "00-genie.conf": genie })), refused("PB3001", /and no other/));
});

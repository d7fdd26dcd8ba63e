import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { makeFolder, startSample, until } from "../../test/kernel/apiserver-sample.ts";
import { lastFirst } from "../../test/last-first.ts";
import { CARD, driverOf, functionAddress, makeSysfs } from "../../test/sysfs-tree.ts";
import { makeEventRecorder } from "../client/events.ts";
import { executeSriov } from "../host/linux/sriov-execute.ts";
import { definitions } from "../model/api/kinds.ts";
import { nodeResource, sriovPolicyResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import { isFault } from "../model/fault.ts";
import { allocateDevices } from "../model/pods/device-resources.ts";
import { type Policy, policyKey } from "../model/sriov/policies.ts";
import type { SriovStep } from "../model/sriov/steps.ts";
import { openPodRecords, type PodRecord } from "./records.ts";
import { keepSriov } from "./sriov-keeper.ts";

const log = pino({ level: "silent" });

/** An API with this node, a card in a folder of sysfs' shape, and the keeper of its policies. */
async function stage(t: TestContext, shape: Parameters<typeof makeSysfs>[0] = {}) {
  const after = lastFirst(t);
  const { folder, remove } = makeFolder();
  after(remove);
  const tree = makeSysfs(shape);
  after(tree.remove);
  const { client, stop } = await startSample(folder, { definitions });
  after(() => stop());
  const events = makeEventRecorder(client, "test", log);
  const records = openPodRecords(join(folder, "pods"));
  const stateFile = join(folder, "sriov.json");
  const dev = join(folder, "vfio");
  mkdirSync(dev);
  await client.create(nodeResource, {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "here", labels: { sriov: "true" } },
  });
  const changes = { count: 0 };
  const options = {
    client,
    events,
    nodeName: "here",
    records,
    stateFile,
    log,
    changed: () => {
      changes.count += 1;
    },
    sys: tree.sys,
    dev,
    execute: async (step: SriovStep) => {
      await executeSriov(step, tree.sys);
      tree.react();
    },
  };
  const keeper = keepSriov(options);
  after(async () => {
    await keeper.close();
    await events.flush();
  });
  const create = (name: string, spec: object): Promise<KubeObject> =>
    client.create<KubeObject>(sriovPolicyResource, {
      apiVersion: "sriovnetwork.openshift.io/v1",
      kind: "SriovNetworkNodePolicy",
      metadata: { name, namespace: "default" },
      spec: { resourceName: name, deviceType: "vfio-pci", numVfs: 4, nicSelector: { pfNames: ["pf0"] }, ...spec },
    });
  const statusOf = async (name: string): Promise<Policy["status"]> =>
    (await client.get<Policy & KubeObject>(sriovPolicyResource, { namespace: "default", name })).status;
  const reason = async (name: string): Promise<string | undefined> => (await statusOf(name))?.nodes?.[0]?.reason;
  const applied = (name: string): Promise<void> =>
    until(`that ${name} is applied`, async () => (await statusOf(name))?.conditions?.[0]?.status === "True");
  const remove_ = (name: string) => client.delete(sriovPolicyResource, { namespace: "default", name });
  return {
    after,
    tree,
    client,
    options,
    changes,
    keeper,
    records,
    stateFile,
    dev,
    create,
    statusOf,
    reason,
    applied,
    remove: remove_,
  };
}

/** A pod's record that holds a device. */
function holding(pci: string): PodRecord {
  const named = { namespace: "default", name: "guest" };
  return {
    version: 1,
    podUid: "u1",
    pod: named,
    vmi: { ...named, uid: "v1" },
    netns: "/run/netns/none",
    stage: "network",
    devices: [{ resource: "openshift.io/fast", interface: "net1", device: { id: pci, pci } }],
  };
}

test("a policy is made so, offered as a resource, and taken back with it, but not from under a guest", async (t) => {
  const { tree, keeper, records, stateFile, create, statusOf, applied, reason, remove, client } = await stage(t);
  const policy = await create("fast", { mtu: 9000, nodeSelector: { sriov: "true" } });
  await applied("fast");
  assert.deepEqual((await statusOf("fast"))?.nodes, [{ node: "here", devices: 4 }]);
  const devices = [0, 1, 2, 3]
    .map((index) => ({ pci: functionAddress(index), iommuGroup: 20 + index }))
    .map((device) => ({ id: device.pci, ...device, numaNode: 0, mtu: 9000 }));
  assert.deepEqual(keeper.source.pools(), [{ resource: "openshift.io/fast", devices }]);
  assert.ok(keeper.source.owns("openshift.io/fast") && !keeper.source.owns("macvtap.network.kubevirt.io/eth0"));
  assert.deepEqual(
    [tree.read("class/net/pf0/mtu"), tree.read("class/net/pf0/flags"), driverOf(tree, functionAddress(3))],
    ["9000", "0x1003", "vfio-pci"],
  );
  assert.equal(policyKey(policy as unknown as Policy), "default/fast");
  assert.deepEqual(JSON.parse(readFileSync(stateFile, "utf8")), { [CARD]: { numVfs: 0, mtu: 1500 } });

  records.put(holding(functionAddress(2)));
  const place = { namespace: "default", name: "fast" };
  await client.patch(sriovPolicyResource, place, "merge", { spec: { numVfs: 2 } });
  await until("the refusal", async () => (await reason("fast")) === "PB4203");
  assert.match((await statusOf("fast"))?.nodes?.[0]?.message ?? "", /0000:02:10\.2 by default\/guest/);
  assert.equal(tree.read(`bus/pci/devices/${CARD}/sriov_numvfs`), "4");
  assert.equal(keeper.source.pools()[0]?.devices.length, (await statusOf("fast"))?.nodes?.[0]?.devices);
  records.remove("u1");
  await client.patch(sriovPolicyResource, place, "merge", { spec: { mtu: 1400 } });
  await applied("fast");
  assert.equal(tree.read(`bus/pci/devices/${CARD}/sriov_numvfs`), "2");

  await remove("fast");
  await until("the card as it was", () => tree.read(`bus/pci/devices/${CARD}/sriov_numvfs`) === "0");
  await until("that nothing is kept of it", () => readFileSync(stateFile, "utf8") === "{}");
  assert.equal(tree.read("class/net/pf0/mtu"), "1500");
  assert.deepEqual(keeper.source.pools(), []);
});

test("who asks for devices waits until the policies were read, and no longer where there are none", async (t) => {
  const { after, keeper, options, create, applied } = await stage(t);
  await keeper.source.ready;
  assert.deepEqual(keeper.source.pools(), []);
  await create("fast", {});
  await applied("fast");
  const next = keepSriov(options);
  after(() => next.close());
  assert.deepEqual(next.source.pools(), []);
  await next.source.ready;
  assert.equal(next.source.pools()[0]?.devices.length, 4);
});

test("what another program drives stays as it is, and is handed to nobody", async (t) => {
  const { tree, client, keeper, create, applied, reason, statusOf, remove, dev, stateFile, changes } = await stage(t);
  await create("fast", {});
  await applied("fast");
  const told = changes.count;
  // The file of the group of function 1, as a QEMU of somebody else has it open.
  writeFileSync(join(dev, "21"), "");
  const fd = openSync(join(dev, "21"), "r");
  const pools = keeper.source.pools();
  assert.deepEqual(
    pools.flatMap(({ devices }) => devices.map(({ healthy }) => healthy !== false)),
    [true, false, true, true],
  );
  const requests = Array.from({ length: 4 }, (_, index) => ({
    resource: "openshift.io/fast",
    interface: `net${index}`,
  }));
  assert.throws(
    () => allocateDevices(pools, [], requests),
    new RegExp(`1 not usable: held by process ${process.pid} \\(`),
  );
  // A look is due at any change of a policy, and every 10 s.
  await client.patch(sriovPolicyResource, { namespace: "default", name: "fast" }, "merge", { spec: { priority: 98 } });
  await until("that the node is to tell of one device less", () => changes.count > told);
  await remove("fast");
  await create("fewer", { numVfs: 2 });
  await until("the refusal", async () => (await reason("fewer")) === "PB4203");
  assert.match((await statusOf("fewer"))?.nodes?.[0]?.message ?? "", /0000:02:10\.1 by process \d+ \(/);
  await remove("fewer");
  assert.equal(tree.read(`bus/pci/devices/${CARD}/sriov_numvfs`), "4");
  closeSync(fd);
  await create("last", { numVfs: 1 });
  await applied("last");
  await remove("last");
  await until("that nothing is kept of it", () => readFileSync(stateFile, "utf8") === "{}");
  assert.equal(tree.read(`bus/pci/devices/${CARD}/sriov_numvfs`), "0");
});

test("functions that somebody had by VFIO before are theirs again afterwards", async (t) => {
  const { tree, create, applied, remove, stateFile, options } = await stage(t);
  await options.execute({ do: "card.functions", pci: CARD, count: 3, probe: false });
  await options.execute({ do: "driver.bind", pci: functionAddress(0), driver: "vfio-pci" });
  await create("fast", { externallyManaged: true, numVfs: 3, nicSelector: { pfNames: ["pf0#1-2"] } });
  await applied("fast");
  assert.equal(driverOf(tree, functionAddress(2)), "vfio-pci");
  await remove("fast");
  await until("that nothing is kept of it", () => readFileSync(stateFile, "utf8") === "{}");
  assert.deepEqual(
    [0, 1, 2].map((index) => driverOf(tree, functionAddress(index))),
    ["vfio-pci", "igbvf", "igbvf"],
  );
});

test("every fault is told in the policy's status, with its code and cure", async (t) => {
  const { create, reason, statusOf, tree, applied, remove } = await stage(t);
  await create("gone", { nicSelector: { pfNames: ["pf9"] } });
  await create("many", { numVfs: 8 });
  await create("elsewhere", { nodeSelector: { sriov: "false" } });
  await until("both refusals", async () => (await reason("gone")) === "PB4201" && (await reason("many")) === "PB4202");
  assert.match((await statusOf("gone"))?.conditions?.[0]?.message ?? "", /here: .*Did you mean "pf0"\?$/);
  assert.equal((await statusOf("elsewhere"))?.nodes, undefined);
  await remove("many");
  // Nothing can be written to a folder.
  const mtu = join(tree.sys, "bus/pci/devices", CARD, "net/pf0/mtu");
  rmSync(mtu);
  mkdirSync(mtu);
  await create("fast", { mtu: 9000 });
  await create("late", { priority: 99 });
  await until("the refused write", async () => (await reason("fast")) === "PB4206");
  await until("the overlap", async () => (await reason("late")) === "PB4207");
  assert.equal((await statusOf("fast"))?.nodes?.[0]?.devices, 4, "what could be made is offered");
  await remove("fast");
  await applied("late");
});

test("without an IOMMU, and without the driver, no device is offered", async (t) => {
  const bare = await stage(t, { iommu: false });
  await bare.create("fast", {});
  await until("the want of an IOMMU", async () => (await bare.reason("fast")) === "PB4205");
  const [pool] = bare.keeper.source.pools();
  assert.deepEqual([pool?.resource, pool?.devices], ["openshift.io/fast", []]);
  assert.match(pool?.impeded?.by ?? "", /default\/fast has PB4205: .*no IOMMU/);
  await bare.create("gone", { nicSelector: { pfNames: ["pf9"] } });
  await until("the want of a card", async () => (await bare.reason("gone")) === "PB4201");
  const asked = [{ resource: "openshift.io/gone", interface: "net1" }];
  assert.throws(
    () => allocateDevices(bare.keeper.source.pools(), [], asked),
    (thrown) =>
      isFault(thrown, "PB6122") && /PB4201: /.test(thrown.message) && /Did you mean "pf0"/.test(thrown.cure ?? ""),
  );
  await bare.remove("gone");
  const offered = () => bare.keeper.source.pools().map(({ resource }) => resource);
  await until("that it is offered no more", () => offered().join() === "openshift.io/fast");
  await bare.remove("fast");
  await until("that nothing is offered", () => offered().length === 0);
  await bare.create("alone", { nicSelector: { pfNames: ["pf9"] } });
  await until("the want of its card", async () => (await bare.reason("alone")) === "PB4201");
  await bare.remove("alone");
  await until("that nothing is offered again", () => offered().length === 0);
  await bare.create("foreign", { externallyManaged: true, deviceType: "netdevice" });
  await until("the want of what others make", async () => (await bare.reason("foreign")) === "PB4208");
  assert.equal(bare.tree.read(`bus/pci/devices/${CARD}/sriov_numvfs`), "0");
});

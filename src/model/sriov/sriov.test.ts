import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SriovNetwork } from "../api/sriov-resources.ts";
import type { Stored } from "../api/stored.ts";
import { sriovProblems } from "../rules/sriov.ts";
import type { PhysicalFunction, SriovInventory, VirtualFunction } from "./inventory.ts";
import { definitionOfNetwork, OWNER_ANNOTATION, RESOURCE_ANNOTATION } from "./network-definition.ts";
import { parsePfName } from "./pf-name.ts";
import { isForNode, type Policy, wantedCards } from "./policies.ts";
import { decideSriov, giveBackSteps, type Holders } from "./steps.ts";

function vf(index: number, fields: Partial<VirtualFunction> = {}): VirtualFunction {
  return { index, pci: `0000:02:10.${index}`, driver: "igbvf", group: 20 + index, alone: true, ...fields };
}

const bound = (index: number): VirtualFunction => vf(index, { driver: "vfio-pci", override: "vfio-pci" });

function card(fields: Partial<PhysicalFunction> = {}): PhysicalFunction {
  return {
    pci: "0000:02:00.0",
    link: "ens1f0",
    vendor: "8086",
    device: "10c9",
    driver: "igb",
    mtu: 1500,
    up: true,
    totalVfs: 7,
    vfs: [],
    ...fields,
  };
}

function inventory(...cards: readonly PhysicalFunction[]): SriovInventory {
  return { cards, drivers: ["igb", "igbvf", "vfio-pci"], iommu: true };
}

function policy(name: string, spec: Partial<Policy["spec"]> = {}): Policy {
  return {
    apiVersion: "sriovnetwork.openshift.io/v1",
    kind: "SriovNetworkNodePolicy",
    metadata: { name, namespace: "ops", uid: name, resourceVersion: "1" },
    spec: {
      resourceName: name,
      deviceType: "vfio-pci",
      numVfs: 4,
      nicSelector: { pfNames: ["ens1f0"] },
      ...spec,
    },
  };
}

const nobody: Holders = new Map();

function problemsOf(policies: readonly Policy[], there: SriovInventory, inUse = nobody) {
  const wanted = wantedCards(policies, there);
  const { problems } = decideSriov(wanted.cards, there, inUse);
  return [...wanted.problems, ...problems].map((problem) => [problem.policy, problem.fault.code]);
}

test("a link's name is read with its range, and nothing else is taken for one", () => {
  assert.deepEqual(parsePfName("ens1f0"), { name: "ens1f0" });
  assert.deepEqual(parsePfName("ens1f0#2-5"), { name: "ens1f0", first: 2, last: 5 });
  for (const text of ["", "ens1f0#", "ens1f0#5-2", "ens1f0#a-b", "ens1f0#1", "a link", "sixteencharacters"]) {
    assert.equal(parsePfName(text), undefined, text);
  }
  fc.assert(fc.property(fc.string(), (text) => void parsePfName(text)));
});

test("S2.67 S3.83 S3.84: a policy is made step by step: the functions, the MTU, the driver; then they are handed out and nothing is left to do", () => {
  const policies = [policy("fast", { mtu: 9000 })];
  const decide = (there: SriovInventory) => decideSriov(wantedCards(policies, there).cards, there, nobody);
  const first = decide(inventory(card()));
  assert.deepEqual(
    first.steps.map(({ step }) => step),
    [{ do: "card.functions", pci: "0000:02:00.0", count: 4, probe: false }],
  );
  const second = decide(inventory(card({ up: false, vfs: [0, 1, 2, 3].map((index) => vf(index)) })));
  assert.deepEqual(
    second.steps.map(({ step }) => step),
    [
      { do: "link.mtu", link: "ens1f0", mtu: 9000 },
      { do: "link.up", link: "ens1f0" },
      ...[0, 1, 2, 3].map((index) => ({ do: "driver.bind", pci: `0000:02:10.${index}`, driver: "vfio-pci" })),
    ],
  );
  assert.deepEqual(second.devices, []);
  const third = decide(inventory(card({ mtu: 9000, vfs: [0, 1, 2, 3].map(bound) })));
  assert.deepEqual([third.steps, third.problems], [[], []]);
  assert.deepEqual(third.devices[3], {
    policy: "ops/fast",
    resource: "openshift.io/fast",
    pci: "0000:02:10.3",
    pf: "0000:02:00.0",
    pfLink: "ens1f0",
    index: 3,
    vfio: true,
    group: 23,
  });
});

test("the driver is loaded before it is bound, and a network driver is the kernel's own choice", () => {
  const there = inventory(card({ vfs: [0, 1, 2, 3].map((index) => vf(index)) }));
  const { steps } = decideSriov(wantedCards([policy("fast")], there).cards, { ...there, drivers: [] }, nobody);
  assert.deepEqual(
    steps.map(({ step }) => step),
    [{ do: "driver.load", driver: "vfio-pci" }],
  );
  const plain = policy("plain", { deviceType: "netdevice", mtu: 1400 });
  const back = inventory(card({ mtu: 1400, vfs: [bound(0), vf(1, { link: "ens1f0v1", mtu: 1500 }), vf(2), vf(3)] }));
  assert.deepEqual(
    decideSriov(wantedCards([plain], back).cards, back, nobody).steps.map(({ step }) => step),
    [
      { do: "driver.bind", pci: "0000:02:10.0", driver: undefined },
      { do: "link.mtu", link: "ens1f0v1", mtu: 1400 },
    ],
  );
});

test("drivers take new functions where some are left to the kernel's", () => {
  const probes = (...policies: readonly Policy[]) => {
    const { steps } = decideSriov(wantedCards(policies, inventory(card())).cards, inventory(card()), nobody);
    return steps.map(({ step }) => step.do === "card.functions" && step.probe);
  };
  const [low, high] = [{ pfNames: ["ens1f0#0-1"] }, { pfNames: ["ens1f0#2-3"] }];
  assert.deepEqual(probes(policy("plain", { deviceType: "netdevice" })), [true]);
  assert.deepEqual(probes(policy("low", { nicSelector: low }), policy("high", { nicSelector: high })), [false]);
  assert.deepEqual(probes(policy("low", { nicSelector: low })), [true]);
  assert.deepEqual(
    probes(policy("low", { nicSelector: low }), policy("high", { nicSelector: high, deviceType: "netdevice" })),
    [true],
  );
});

test("cards are selected by all that a policy says, and nodes by their labels", () => {
  const there = inventory(card(), card({ pci: "0000:03:00.0", link: "ens2f0", device: "1572" }));
  const chosen = (nicSelector: Policy["spec"]["nicSelector"]) =>
    wantedCards([policy("fast", { nicSelector })], there).cards.map(({ pci }) => pci);
  assert.deepEqual(chosen({ vendor: "8086" }), ["0000:02:00.0", "0000:03:00.0"]);
  assert.deepEqual(chosen({ vendor: "8086", deviceID: "1572" }), ["0000:03:00.0"]);
  assert.deepEqual(chosen({ rootDevices: ["0000:02:00.0"], deviceID: "1572" }), []);
  assert.deepEqual(chosen({ pfNames: ["ens1f0", "ens2f0"] }), ["0000:02:00.0", "0000:03:00.0"]);
  const labelled = policy("fast", { nodeSelector: { sriov: "true" } });
  assert.ok(isForNode(labelled, { sriov: "true", other: "x" }));
  assert.ok(!isForNode(labelled, { sriov: "false" }));
  assert.ok(isForNode(policy("fast"), {}));
});

test("a card is divided by ranges; of two that overlap the lower priority number has it", () => {
  const vfs = [0, 1, 2, 3, 4, 5].map(bound);
  const one = policy("one", { numVfs: 4, nicSelector: { pfNames: ["ens1f0#0-1"] } });
  const two = policy("two", { numVfs: 6, mtu: 1400, nicSelector: { pfNames: ["ens1f0#2-5"] } });
  const there = inventory(card({ mtu: 1400, vfs }));
  const { cards, problems } = wantedCards([one, two], there);
  assert.deepEqual([cards[0]?.numVfs, cards[0]?.mtu, problems], [6, 1400, []]);
  const { devices } = decideSriov(cards, there, nobody);
  assert.deepEqual(
    devices.map(({ resource, index }) => `${resource} ${index}`),
    ["one 0", "one 1", "two 2", "two 3", "two 4", "two 5"].map((text) => `openshift.io/${text}`),
  );
  const greedy = policy("greedy", { priority: 10 });
  assert.deepEqual(problemsOf([one, greedy], there), [["ops/one", "PB4207"]]);
});

test("no two ranges of what is wanted overlap, whatever policies there are", () => {
  const range = fc.tuple(fc.nat(7), fc.nat(7)).map(([a, b]) => `ens1f0#${Math.min(a, b)}-${Math.max(a, b)}`);
  const some = fc.array(fc.record({ priority: fc.nat(99), range }), { maxLength: 6 });
  fc.assert(
    fc.property(some, (given) => {
      const policies = given.map((one, index) =>
        policy(`p${index}`, { numVfs: 8, priority: one.priority, nicSelector: { pfNames: [one.range] } }),
      );
      const { cards, problems } = wantedCards(policies, inventory(card({ totalVfs: 8 })));
      const groups = cards.flatMap((one) => one.groups);
      const taken = groups.flatMap(({ first, last }) =>
        Array.from({ length: last - first + 1 }, (_, at) => first + at),
      );
      assert.equal(new Set(taken).size, taken.length);
      assert.equal(groups.length + problems.length, policies.length);
    }),
  );
});

test("what is in the way is told with its code, and nothing is done to what guests hold", () => {
  const held: Holders = new Map([["0000:02:10.1", "ns/guest"]]);
  const vfs = [0, 1, 2, 3].map(bound);
  assert.deepEqual(problemsOf([policy("fast", { nicSelector: { pfNames: ["ens1f1"] } })], inventory(card())), [
    ["ops/fast", "PB4201"],
  ]);
  assert.deepEqual(problemsOf([policy("fast", { numVfs: 8 })], inventory(card())), [["ops/fast", "PB4202"]]);
  assert.deepEqual(problemsOf([policy("fast", { numVfs: 2 })], inventory(card({ vfs })), held), [
    ["ops/fast", "PB4203"],
  ]);
  assert.deepEqual(problemsOf([policy("fast", { deviceType: "netdevice" })], inventory(card({ vfs })), held), [
    ["ops/fast", "PB4203"],
  ]);
  assert.deepEqual(problemsOf([policy("fast")], { ...inventory(card({ vfs })), iommu: false }), [
    ["ops/fast", "PB4205"],
  ]);
  assert.deepEqual(problemsOf([policy("fast", { externallyManaged: true })], inventory(card())), [
    ["ops/fast", "PB4208"],
  ]);
  assert.deepEqual(problemsOf([policy("none", { numVfs: 0 })], inventory(card({ vfs })), held), [
    ["ops/none", "PB4203"],
  ]);
  const shared = vfs.map((one) => ({ ...one, alone: one.index !== 2 }));
  assert.deepEqual(problemsOf([policy("fast")], inventory(card({ vfs: shared }))), [["ops/fast", "PB4209"]]);
  const there = inventory(card({ vfs }));
  const fewer = decideSriov(wantedCards([policy("fast", { numVfs: 2 })], there).cards, there, held);
  assert.deepEqual([fewer.steps, fewer.devices.length], [[], 2]);
  const swapped = decideSriov(wantedCards([policy("fast", { deviceType: "netdevice" })], there).cards, there, held);
  assert.ok(!swapped.steps.some(({ step }) => step.do === "driver.bind" && step.pci === "0000:02:10.1"));
});

test("a card that no policy wants any more becomes what it was, once no guest holds a part of it", () => {
  const made = card({ mtu: 9000, vfs: [0, 1].map(bound) });
  assert.deepEqual(giveBackSteps({ numVfs: 0, mtu: 1500 }, made, new Map([["0000:02:10.0", "ns/guest"]])), {
    steps: [],
    busy: true,
  });
  assert.deepEqual(giveBackSteps({ numVfs: 0, mtu: 1500 }, made, nobody), {
    busy: false,
    steps: [
      { do: "card.functions", pci: "0000:02:00.0", count: 0, probe: true },
      { do: "link.mtu", link: "ens1f0", mtu: 1500 },
    ],
  });
  assert.deepEqual(giveBackSteps({ numVfs: 2, mtu: 9000 }, made, nobody).steps, [
    { do: "driver.bind", pci: "0000:02:10.0", driver: undefined },
    { do: "driver.bind", pci: "0000:02:10.1", driver: undefined },
  ]);
  // Of two that somebody had by VFIO before, one was a policy's for the kernel's drivers meanwhile.
  const mixed = card({ mtu: 9000, vfs: [bound(0), bound(1), vf(2)] });
  const earlier = { numVfs: 3, mtu: 9000, vfio: ["0000:02:10.0", "0000:02:10.2"] };
  assert.deepEqual(giveBackSteps(earlier, mixed, nobody).steps, [
    { do: "driver.bind", pci: "0000:02:10.1", driver: undefined },
    { do: "driver.bind", pci: "0000:02:10.2", driver: "vfio-pci" },
  ]);
});

function network(spec: Partial<SriovNetwork["spec"]> = {}): Stored<SriovNetwork> {
  return {
    apiVersion: "sriovnetwork.openshift.io/v1",
    kind: "SriovNetwork",
    metadata: { name: "sriov-net", namespace: "sriov-network-operator", uid: "u", resourceVersion: "1" },
    spec: { resourceName: "sriov-nic", ...spec },
  };
}

test("S3.85: a network makes a definition for the plugin sriov, in the namespace that it names", () => {
  const made = definitionOfNetwork(network({ ipam: "{}\n", networkNamespace: "default", spoofChk: "off" }));
  assert.deepEqual(made.metadata, {
    namespace: "default",
    name: "sriov-net",
    annotations: {
      [RESOURCE_ANNOTATION]: "openshift.io/sriov-nic",
      [OWNER_ANNOTATION]: "SriovNetwork.sriovnetwork.openshift.io/sriov-network-operator/sriov-net",
    },
  });
  assert.deepEqual(JSON.parse(made.spec?.config ?? ""), {
    cniVersion: "1.0.0",
    name: "sriov-net",
    type: "sriov",
    spoofchk: "off",
    ipam: {},
  });
  const full = definitionOfNetwork(
    network({
      ipam: '{"type": "static"}',
      vlan: 100,
      vlanQoS: 3,
      vlanProto: "802.1AD",
      trust: "on",
      linkState: "enable",
      minTxRate: 10,
      maxTxRate: 100,
      capabilities: '{"mac": true}',
      metaPlugins: '{"type": "tuning"}, {"type": "vrf"}',
    }),
  );
  assert.equal(full.metadata?.namespace, "sriov-network-operator");
  assert.deepEqual(JSON.parse(full.spec?.config ?? ""), {
    cniVersion: "1.0.0",
    name: "sriov-net",
    plugins: [
      {
        type: "sriov",
        vlan: 100,
        vlanQoS: 3,
        vlanProto: "802.1ad",
        trust: "on",
        link_state: "enable",
        min_tx_rate: 10,
        max_tx_rate: 100,
        capabilities: { mac: true },
        ipam: { type: "static" },
      },
      { type: "tuning" },
      { type: "vrf" },
    ],
  });
});

test("rules of policies and networks name the field and the code", () => {
  const told = (kind: string, spec: object) =>
    sriovProblems({ apiVersion: "sriovnetwork.openshift.io/v1", kind, metadata: { name: "x" }, spec }).map(
      ({ code, field }) => `${code} ${field}`,
    );
  const of = (spec: object) => told("SriovNetworkNodePolicy", { ...policy("fast").spec, ...spec });
  assert.deepEqual(of({}), []);
  assert.deepEqual(of({ resourceName: "openshift.io/fast" }), ["PB2802 spec.resourceName"]);
  assert.deepEqual(of({ nicSelector: {} }), ["PB2801 spec.nicSelector"]);
  assert.deepEqual(of({ nicSelector: { pfNames: ["a#0-3", "b#0-4", "c#x"] } }), [
    "PB2803 spec.nicSelector.pfNames[1]",
    "PB2803 spec.nicSelector.pfNames[2]",
  ]);
  assert.deepEqual(of({ nicSelector: { rootDevices: ["02:00.0"], vendor: "intel", deviceID: "10C9" } }), [
    "PB2804 spec.nicSelector.rootDevices[0]",
    "PB2805 spec.nicSelector.vendor",
  ]);
  assert.deepEqual(of({ isRdma: true, linkType: "IB", eSwitchMode: "switchdev", vdpaType: "vhost" }), [
    "PB2806 spec.isRdma",
    "PB2806 spec.linkType",
    "PB2806 spec.eSwitchMode",
    "PB2806 spec.vdpaType",
  ]);
  const net = (spec: object) => told("SriovNetwork", { resourceName: "fast", ...spec });
  assert.deepEqual(net({ ipam: "{}", vlan: 5, vlanQoS: 1, minTxRate: 1, maxTxRate: 0 }), []);
  assert.deepEqual(net({ ipam: "[]", capabilities: "{", metaPlugins: '{"name": "x"}' }), [
    "PB2807 spec.ipam",
    "PB2807 spec.capabilities",
    "PB2807 spec.metaPlugins",
  ]);
  assert.deepEqual(net({ networkNamespace: "Team A", minTxRate: 2, maxTxRate: 1, vlanQoS: 3 }), [
    "PB2809 spec.networkNamespace",
    "PB2808 spec.minTxRate",
    "PB2810 spec.vlan",
  ]);
  assert.deepEqual(told("SriovIBNetwork", {}), []);
});

// What KubeVirt's documentation says of the form of a manifest, tried by the rules and by plans. The ids are those of
// docs/documents.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { VirtualMachineInstance } from "../src/model/api/vmi.ts";
import { explainVmi } from "../src/model/explain/explain.ts";
import { judge } from "../src/model/rules/judge.ts";
import { type Plan, type PlannedNic, planVmi } from "../src/model/wiring/plan.ts";

type Nic = Readonly<Record<string, unknown>>;

const POD = { name: "default", pod: {} };
const LAN = { name: "red", multus: { networkName: "lan" } };
const NIC = "spec.domain.devices.interfaces[0]";

function vmi(interfaces: readonly Nic[], networks: readonly Nic[], devices: object = {}) {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", namespace: "default" },
    spec: {
      domain: { cpu: { cores: 4 }, devices: { interfaces, ...devices }, resources: { requests: { memory: "64Mi" } } },
      networks,
    },
  };
}

/** What is wrong, as `code field`. */
function wrong(interfaces: readonly Nic[], networks: readonly Nic[], configuration?: object): string[] {
  const { problems } = judge("VirtualMachineInstance", vmi(interfaces, networks), configuration);
  return problems.map(({ code, field }) => `${code} ${field}`);
}

/** Likewise of one interface on the pod network. */
const wrongNic = (nic: Nic, configuration?: object): string[] =>
  wrong([{ name: "default", ...nic }], [POD], configuration);

function planned(interfaces: readonly Nic[], networks: readonly Nic[], devices: object = {}): Plan {
  const { problems, defaulted } = judge("VirtualMachineInstance", vmi(interfaces, networks, devices), everything);
  assert.deepEqual(problems, []);
  const { spec }: VirtualMachineInstance = JSON.parse(JSON.stringify(defaulted));
  return planVmi({ namespace: "default", name: "a", hostName: "a", spec });
}

function plannedNic(nic: Nic, network: Nic = POD, devices: object = {}): PlannedNic {
  const [first] = planned([{ name: network["name"], ...nic }], [network], devices).nics;
  assert.ok(first !== undefined);
  return first;
}

const gates = (...featureGates: string[]) => ({ developerConfiguration: { featureGates } });
const everything = { network: { permitSlirpInterface: true }, ...gates("Passt", "Macvtap") };

test("S0.1 S0.2 S1.1 S1.2 S2.1 S3.1: networks and interfaces belong together by name, each has its other half", () => {
  const [red, blue] = [
    { name: "default", masquerade: {} },
    { name: "red", bridge: {} },
  ];
  assert.deepEqual(wrong([red, blue], [POD, LAN]), []);
  assert.deepEqual(wrong([blue, red], [POD, LAN]), [], "by name, not by place");
  assert.deepEqual(wrong([red, blue], [POD]), ["PB2017 spec.domain.devices.interfaces[1].name"]);
  assert.deepEqual(wrong([red], [POD, LAN]), ["PB2016 spec.networks[1].name"]);
  assert.deepEqual(
    planned([blue, red], [POD, LAN]).nics.map(({ name, network }) => [name, network.kind]),
    [
      ["red", "multus"],
      ["default", "pod"],
    ],
  );
});

test("S0.3 S1.3 S2.1: the interface is what the guest sees, the network what it is joined to", () => {
  const [one, other] = [plannedNic({ bridge: {} }), plannedNic({ bridge: {} }, LAN)];
  assert.notDeepEqual([one.network, one.podInterface], [other.network, other.podInterface]);
  assert.equal(one.guest.model, other.guest.model, "another network is the same device in the guest");
  const changed = planned([{ name: "default", bridge: {}, model: "e1000" }], [POD]);
  assert.deepEqual(changed.pod.addresses, planned([{ name: "default", bridge: {} }], [POD]).pod.addresses);
  assert.deepEqual([changed.nics[0]?.guest.model, changed.nics[0]?.network], ["e1000", one.network]);
});

test("S0.4 S1.5 S2.3 S3.3: a network is of one kind: the pod network, or one of those that came later", () => {
  const nic = { name: "n", bridge: {} };
  assert.deepEqual(wrong([nic], [{ name: "n", pod: {} }]), []);
  assert.deepEqual(wrong([nic], [{ name: "n", multus: { networkName: "lan" } }]), []);
  assert.deepEqual(wrong([nic], [{ name: "n", genie: { networkName: "flannel" } }]), []);
  assert.deepEqual(wrong([nic], [{ name: "n" }]), ["PB2004 spec.networks[0]"]);
  const both = wrong([nic], [{ name: "n", pod: {}, multus: { networkName: "lan" } }]);
  assert.ok(both.includes("PB2005 spec.networks[0]"), both.join());
});

test("S0.5 S1.6 S2.2 S3.2: a network's name is there once", () => {
  const nics = [{ name: "red", bridge: {} }];
  const two = wrong(nics, [LAN, { name: "red", multus: { networkName: "other" } }]);
  assert.ok(
    two.some((one) => one.startsWith("PB2015 spec.networks[1]")),
    two.join(),
  );
});

test("S0.8 S1.9 S2.24 S3.13: an interface says by one field how it is joined, and each field joins otherwise", () => {
  const kindOf = (nic: Nic, network: Nic = POD): string => plannedNic(nic, network).attachment.kind;
  assert.deepEqual(
    [kindOf({ bridge: {} }), kindOf({ masquerade: {} }), kindOf({ slirp: {} }), kindOf({ sriov: {} }, LAN)],
    ["tap", "tap", "user", "vfio"],
  );
  const masters = (nic: Nic): boolean[] =>
    planned([{ name: "default", ...nic }], [POD]).pod.links.map((l) => "master" in l);
  assert.ok(masters({ bridge: {} }).includes(true), "by a Linux bridge");
  assert.ok(!masters({ masquerade: {} }).includes(true));
  assert.ok(
    planned([{ name: "default", masquerade: {} }], [POD]).pod.nft.some((table) => table.includes("masquerade")),
  );
  assert.deepEqual(wrongNic({}), [`PB2070 ${NIC}`]);
  assert.deepEqual(wrongNic({ bridge: {}, masquerade: {} }), [`PB2070 ${NIC}`]);
});

test("S0.18 S0.21 S1.19 S1.22 S2.42 S2.46 S3.39 S3.43: bridge and slirp have no fields of their own", () => {
  for (const binding of ["bridge", "slirp", "masquerade"]) {
    assert.deepEqual(wrongNic({ [binding]: {} }, everything), [], binding);
    const more = wrongNic({ [binding]: { mtu: 1400 } }, everything);
    assert.equal(more.length, 1, binding);
    assert.match(more[0] ?? "", /^PB1002 /, binding);
  }
});

test("S0.9 S1.11 S2.25 S3.14: a NIC is of one of the models, and virtio where it does not say", () => {
  for (const model of ["e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139", "virtio"]) {
    assert.equal(plannedNic({ bridge: {}, model }, LAN).guest.model, model);
  }
  assert.equal(plannedNic({ bridge: {} }, LAN).guest.model, "virtio");
  assert.deepEqual(wrongNic({ bridge: {}, model: "e100" }), [`PB2043 ${NIC}.model`]);
});

test("S0.10 S1.12 S2.26 S3.15: a MAC is written with colons or hyphens, in letters of either case", () => {
  for (const macAddress of ["de:ad:00:00:be:af", "DE-AD-00-00-BE-AF", "De:aD:00:00:bE:Af"]) {
    assert.equal(plannedNic({ bridge: {}, macAddress }).guest.mac, "de:ad:00:00:be:af");
  }
  assert.deepEqual(wrongNic({ bridge: {}, macAddress: "de:ad:00:00:be" }), [`PB2044 ${NIC}.macAddress`]);
  assert.deepEqual(wrongNic({ bridge: {}, macAddress: "de:ad:00:00:be:af:00:01" }), [`PB2045 ${NIC}.macAddress`]);
});

test("S0.12 S1.16 S2.35 S3.21: a port has a number from 1 to 65535; its name and protocol may be left out", () => {
  const port = (one: Nic): string[] => wrongNic({ masquerade: {}, ports: [one] });
  const at = `${NIC}.ports[0]`;
  assert.deepEqual([port({ port: 1 }), port({ port: 65_535, name: "web", protocol: "UDP" })], [[], []]);
  assert.deepEqual(plannedNic({ masquerade: {}, ports: [{ port: 80 }] }).ports, [{ protocol: "tcp", port: 80 }]);
  assert.deepEqual(port({ name: "web" }), [`PB2037 ${at}`]);
  assert.deepEqual(port({ port: 65_536 }), [`PB2039 ${at}`]);
  assert.deepEqual(port({ port: -1 }), [`PB2038 ${at}`]);
  assert.deepEqual(port({ port: 80, protocol: "SCTP" }), [`PB2040 ${at}.protocol`]);
});

test("S0.24: one network may be joined in several ways, each with promises of its own", () => {
  const promises = (binding: string): unknown => {
    const { migratable, nics } = explainVmi({
      ...{ namespace: "default", name: "a", hostName: "a" },
      spec: { domain: { devices: { interfaces: [{ name: "default", [binding]: {} }] } }, networks: [POD] },
    });
    return [migratable, nics[0]?.claims.find(({ id }) => id.endsWith(".in"))?.["ports"]];
  };
  assert.deepEqual(
    [promises("masquerade"), promises("bridge")],
    [
      [true, "all"],
      [false, "all"],
    ],
  );
  assert.notDeepEqual(promises("slirp"), promises("masquerade"), "slirp lets nothing in that is not listed");
});

test("S2.14 S3.9: a definition in the pod network's place and the pod network exclude each other", () => {
  const instead = { name: "red", multus: { networkName: "lan", default: true } };
  const red = { name: "red", bridge: {} };
  assert.deepEqual(wrong([red], [instead]), []);
  assert.deepEqual(wrong([red, { name: "default", masquerade: {} }], [instead, POD]), ["PB2008 spec.networks"]);
});

test("S2.49 S3.52: masquerade is for the pod network alone", () => {
  assert.deepEqual(wrong([{ name: "red", masquerade: {} }], [LAN]), [`PB2020 ${NIC}.name`]);
});

test("S2.44 S2.45 S3.41 S3.42: bridge on the pod network can be forbidden, and masquerade made the default", () => {
  const network = { permitBridgeInterfaceOnPodNetwork: false, defaultNetworkInterface: "masquerade" };
  assert.deepEqual(wrongNic({ bridge: {} }, { network }), [`PB2022 ${NIC}.name`]);
  assert.deepEqual(wrong([{ name: "red", bridge: {} }], [LAN], { network }), [], "elsewhere it stays");
  const { defaulted } = judge(
    "VirtualMachineInstance",
    { ...vmi([], []), spec: { domain: { devices: {}, resources: { requests: { memory: "64Mi" } } } } },
    { network },
  );
  assert.match(JSON.stringify(defaulted), /"interfaces":\[\{"name":"default","masquerade":\{\}\}\]/);
});

test("S2.58: without multiqueue a NIC has one pair of queues, whatever the vCPUs", () => {
  assert.equal(plannedNic({ masquerade: {} }).guest.queues, 1);
});

test("S2.56 S2.57 S3.73 S3.74: with multiqueue a virtio NIC has a pair of queues for each vCPU", () => {
  const devices = { networkInterfaceMultiqueue: true };
  assert.equal(plannedNic({ masquerade: {} }, POD, devices).guest.queues, 4);
  assert.equal(plannedNic({ masquerade: {}, model: "e1000" }, POD, devices).guest.queues, 1);
});

test("S3.71: passt is for the pod network, as the only NIC", () => {
  const passt = { name: "default", passt: {} };
  const open = gates("Passt");
  assert.deepEqual(wrong([passt], [POD], open), []);
  assert.deepEqual(wrong([{ name: "red", passt: {} }], [LAN], open), [`PB2026 ${NIC}.name`]);
  const two = wrong([passt, { name: "red", bridge: {} }], [POD, LAN], open);
  assert.deepEqual(two, [`PB2027 ${NIC}.name`]);
});

test("S3.72 S3.91: the gates of passt and macvtap are open where they are named, letter by letter", () => {
  assert.deepEqual(wrongNic({ passt: {} }, gates("Passt")), []);
  for (const gate of ["passt", "PASST"]) assert.deepEqual(wrongNic({ passt: {} }, gates(gate)), [`PB2025 ${NIC}.name`]);
  const macvtap = [{ name: "red", macvtap: {} }];
  assert.deepEqual(wrong(macvtap, [LAN], gates("Macvtap")), []);
  assert.deepEqual(wrong(macvtap, [LAN], gates("macvtap")), [`PB2023 ${NIC}.name`]);
});

test("S3.61 S3.62 S3.65 S3.66: the documents' table of masquerade, bridge and passt", () => {
  const column = (binding: string): unknown => {
    const nic = plannedNic({ [binding]: {} });
    const { migratable, nics } = explainVmi({
      ...{ namespace: "default", name: "a", hostName: "a" },
      spec: { domain: { devices: { interfaces: [{ name: "default", [binding]: {} }] } }, networks: [POD] },
    });
    const reached = nics[0]?.claims.find(({ id }) => id.endsWith(".in"))?.["addresses"];
    return { migratable, address: nic.serve.dhcp4?.clientAddress, tap: nic.attachment.kind === "tap", reached };
  };
  const [four, six] = ["10.244.0.5", "fd10:244::5"];
  assert.deepEqual(column("masquerade"), { migratable: true, address: "10.0.2.2", tap: true, reached: [four, six] });
  assert.deepEqual(column("bridge"), { migratable: false, address: four, tap: true, reached: [four] });
  // passt serves its guest itself, with the pod's addresses.
  assert.deepEqual(column("passt"), { migratable: false, address: undefined, tap: false, reached: [four, six] });
});

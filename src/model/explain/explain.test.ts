import assert from "node:assert/strict";
import { test } from "node:test";
import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import { parseCniObject } from "../networks/cni-config.ts";
import type { NicNetwork } from "../networks/network.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { PlanRequest } from "../wiring/plan.ts";
import { typicalFacts } from "../wiring/typical-facts.ts";
import type { Claim, Topic } from "./claim.ts";
import { type ExplainedNic, type Explanation, explainVmi } from "./explain.ts";
import { renderExplanation } from "./render.ts";

type Nic = Partial<Interface> & Partial<Network>;

const LAN = { multus: { networkName: "lan" } };
const OLD: Nic = { masquerade: {}, pod: {}, model: "e1000" };
const WITH_MAC: Nic = { bridge: {}, ...LAN, macAddress: "02:00:00:00:00:99" };

function explained(
  nics: readonly (Partial<Interface> & Partial<Network>)[],
  more: Partial<PlanRequest> = {},
): Explanation {
  const names = nics.map((_, index) => `nic${index}`);
  const spec = {
    domain: {
      cpu: { cores: 4 },
      devices: {
        networkInterfaceMultiqueue: true,
        interfaces: nics.map(({ pod: _p, multus: _m, genie: _g, resourceClaim: _r, ...iface }, index) => ({
          ...iface,
          name: names[index] ?? "",
        })),
      },
    },
    networks: nics.map(({ pod, multus, genie }, index) => ({
      name: names[index] ?? "",
      ...(pod === undefined ? {} : { pod }),
      ...(multus === undefined ? {} : { multus }),
      ...(genie === undefined ? {} : { genie }),
    })),
  };
  return explainVmi({ namespace: "ns", name: "vm", hostName: "vm", spec, ...more });
}

function only(explanation: Explanation): ExplainedNic {
  const [nic] = explanation.nics;
  assert.ok(nic !== undefined);
  return nic;
}

function claim({ claims }: ExplainedNic, topic: Topic): Claim {
  const found = claims.find(({ id }) => id.endsWith(`.${topic}`));
  assert.ok(found !== undefined, topic);
  return found;
}

const notes = ({ notes: told }: ExplainedNic): string[] => told.map(({ id }) => id);

test("S3.26 S3.28 S3.29 S3.30 S3.32 S3.33 S3.34: the documents' table of how the MTU gets to the guest", () => {
  const addressed = {
    type: "bridge",
    name: "n",
    cniVersion: "1.0.0",
    ipam: { type: "host-local", subnet: "10.1.1.0/24" },
  };
  const configOf = (network: NicNetwork) =>
    network.kind === "multus" && network.networkName === "with" ? parseCniObject(addressed).network : undefined;
  const told = (iface: Partial<Interface>, network: Partial<Network>): unknown =>
    claim(only(explained([{ ...iface, ...network }], { configOf })), "mtu")["toldBy"];
  const dhcp = "DHCPv4 (option 26)";
  const device = "the virtio device itself";
  const routers = "router advertisements";
  const pod = { pod: {} };
  const withAddress = { multus: { networkName: "with" } };
  const without = { multus: { networkName: "without" } };
  assert.deepEqual(told({ masquerade: {} }, pod), [dhcp, routers, device]);
  assert.deepEqual(told({ bridge: {} }, withAddress), [dhcp, device]);
  assert.deepEqual(told({ bridge: {} }, without), [device]);
  assert.deepEqual(told({ masquerade: {}, model: "e1000" }, pod), [dhcp, routers]);
  assert.deepEqual(told({ bridge: {}, model: "e1000" }, withAddress), [dhcp]);
  assert.deepEqual(told({ bridge: {}, model: "e1000" }, without), []);
});

test("S3.70: who reaches the guest follows from the ports", () => {
  const masquerade = only(
    explained([{ masquerade: {}, pod: {}, ports: [{ port: 80 }, { port: 53, protocol: "UDP" }] }]),
  );
  assert.match(claim(masquerade, "in").statement, /at 10\.244\.0\.5 and fd10:244::5 on tcp 80 and udp 53\./);
  assert.equal(claim(masquerade, "in-icmp")["answeredBy"], "pod");
  const silent = only(explained([{ slirp: {}, pod: {} }]));
  assert.match(claim(silent, "in").statement, /^Nobody reaches the guest/);
  const passt = only(explained([{ passt: {}, pod: {} }]));
  assert.equal(claim(passt, "memory")["kubeVirtMebibytes"], 800);
  const limited = only(explained([{ passt: {}, pod: {}, ports: [{ port: 80 }] }]));
  assert.ok(!limited.claims.some(({ id }) => id === "passt.memory"));
});

test("what a NIC needs is named: add-ons, definitions, gates, settings and registrations", () => {
  const needs = (nic: Partial<Interface> & Partial<Network>): string[] => {
    const list = claim(only(explained([nic])), "needs")["needs"];
    assert.ok(Array.isArray(list));
    return list.map(({ what, name }) => `${what} ${name}`);
  };
  assert.deepEqual(needs({ masquerade: {}, pod: {} }), []);
  assert.deepEqual(needs({ bridge: {}, multus: { networkName: "lan" } }), ["add-on Multus", "definition ns/lan"]);
  assert.deepEqual(needs({ bridge: {}, multus: { networkName: "other/lan" } }), [
    "add-on Multus",
    "definition other/lan",
  ]);
  assert.deepEqual(needs({ bridge: {}, pod: {} }), ["setting permitBridgeInterfaceOnPodNetwork"]);
  assert.deepEqual(needs({ bridge: {}, genie: { networkName: "flannel" } }), [
    "add-on CNI-Genie",
    "definition flannel",
  ]);
  assert.deepEqual(needs({ slirp: {}, pod: {} }), ["setting permitSlirpInterface"]);
  assert.deepEqual(needs({ passtBinding: {}, pod: {} }), ["gate PasstBinding"]);
  assert.deepEqual(needs({ binding: { name: "x" }, pod: {} }), ["registration x"]);
  assert.ok(needs({ macvtap: {}, multus: { networkName: "lan" } }).includes("gate Macvtap"));
  assert.ok(needs({ sriov: {}, multus: { networkName: "lan" } }).includes("device nic0"));
});

test("a spoof guard that has no hold on a macvtap is told, and nothing of it where there is a tap or nobody asks", () => {
  const annotations = { "patchbay.io/spoof-guard": "true" };
  const lan = { multus: { networkName: "lan" } };
  const out = (nic: object, asked: Readonly<Record<string, string>>): boolean =>
    /spoof guard that its VMI asks for does not hold it/.test(
      claim(only(explained([{ ...nic, ...lan }], { annotations: asked })), "out").statement,
    );
  assert.deepEqual(
    [out({ macvtap: {} }, annotations), out({ macvtap: {} }, {}), out({ bridge: {} }, annotations)],
    [true, false, false],
  );
});

test("migration is decided by the primary network, with the reason", () => {
  const bridge = explained([{ bridge: {}, pod: {} }]);
  assert.equal(bridge.migratable, false);
  assert.match(claim(only(bridge), "migration").statement, /^No: .*allow-pod-bridge-network-live-migration/);
  const annotations = { "kubevirt.io/allow-pod-bridge-network-live-migration": "" };
  assert.equal(explained([{ bridge: {}, pod: {} }], { annotations }).migratable, true);
  assert.equal(
    explained([
      { masquerade: {}, pod: {} },
      { bridge: {}, multus: { networkName: "lan" } },
    ]).migratable,
    true,
  );
});

test("the documents' warnings are told where they apply, and only there", () => {
  const plain = notes(only(explained([{ masquerade: {}, pod: {}, model: "e1000" }])));
  assert.deepEqual(plain, ["S3.50", "S3.54", "S3.27"]);
  const queued = notes(only(explained([{ masquerade: {}, pod: {} }])));
  assert.deepEqual(
    queued.filter((id) => id >= "S3.76" && id <= "S3.79"),
    ["S3.76", "S3.77", "S3.78", "S3.79"],
  );
  const lan = { bridge: {}, multus: { networkName: "lan" } };
  for (const type of ["macvlan", "ipvlan"]) {
    const configOf = () => parseCniObject({ type, name: "n", cniVersion: "1.0.0", master: "eth0" }).network;
    assert.ok(notes(only(explained([lan], { configOf }))).includes("S3.11"), type);
  }
  assert.ok(!notes(only(explained([lan]))).includes("S3.11"));
  assert.ok(notes(only(explained([{ ...lan, macAddress: "02:00:00:00:00:99" }]))).includes("S3.18"));
  assert.ok(notes(only(explained([{ passt: {}, pod: {} }]))).includes("S3.69"));
  assert.ok(!notes(only(explained([{ passt: {}, pod: {}, ports: [{ port: 80 }] }]))).includes("S3.69"));
});

test("it is read in lines that fit, each heading once", () => {
  const text = renderExplanation(
    explained([
      { masquerade: {}, pod: {} },
      { bridge: {}, multus: { networkName: "lan" } },
    ]),
    72,
  );
  assert.ok(text.split("\n").every((line) => line.length <= 72));
  assert.match(
    text,
    /^ns\/vm, on a typical pod\n\nNIC nic0: masquerade on the pod network \(eth0\)\n {2}reached by {6}Whoever/,
  );
  assert.match(text, /\n\nNIC nic1: bridge on ns\/lan, by Multus \(pod[0-9a-f]{11}\)\n/);
  assert.match(renderExplanation(explained([])), /It has no NIC/);
});

test("S3.57: a guest with IPv6 alone: reached by IPv6, served without DHCPv4", () => {
  const six: PodFacts = {
    ...typicalFacts,
    links: typicalFacts.links.map((link) => ({
      ...link,
      addresses: link.addresses.filter(({ cidr }) => cidr.includes(":")),
    })),
    routes: typicalFacts.routes.filter(({ family }) => family === 6),
  };
  const spec = {
    domain: { devices: { interfaces: [{ name: "nic0", masquerade: {}, ports: [{ port: 80 }] }] } },
    networks: [{ name: "nic0", pod: {} }],
  };
  const nic = only(explainVmi({ namespace: "ns", name: "vm", hostName: "vm", spec }, six));
  assert.match(claim(nic, "in").statement, /at fd10:244::5 on tcp 80\./);
  assert.match(claim(nic, "in-local").statement, /^Inside the pod ::1 leads to the guest on tcp 80/);
  assert.match(
    claim(nic, "out").statement,
    /seen there as fd10:244::5; its own fd10:0:2::2 stays inside\. Its gateway is fe80::1\./,
  );
  assert.deepEqual(claim(nic, "mtu")["toldBy"], ["router advertisements", "the virtio device itself"]);
  assert.deepEqual(
    (["dhcp4", "dhcp6", "ra"] as const).map((topic) => claim(nic, topic)["served"]),
    [false, true, true],
  );
  assert.deepEqual(notes(nic), ["S3.50", "S3.54", "S3.57", "S3.23", "S2.37"]);
});

test("what QEMU and passt answer is what the pod has a family for", () => {
  const four: PodFacts = {
    ...typicalFacts,
    links: typicalFacts.links.map((link) => ({
      ...link,
      addresses: link.addresses.filter(({ cidr }) => !cidr.includes(":")),
    })),
  };
  const said = (iface: Partial<Interface>, topic: Topic, facts?: PodFacts): string => {
    const spec = {
      domain: { devices: { interfaces: [{ name: "nic0", ...iface }] } },
      networks: [{ name: "nic0", pod: {} }],
    };
    return claim(only(explainVmi({ namespace: "ns", name: "vm", hostName: "vm", spec }, facts)), topic).statement;
  };
  for (const iface of [{ slirp: {} }, { passt: {} }]) {
    assert.match(said(iface, "dhcp4", four), /itself answers/);
    for (const topic of ["dhcp6", "ra"] as const) {
      assert.equal(said(iface, topic, four), "Nobody answers: the pod has no IPv6.");
      assert.match(said(iface, topic), /itself answers/);
    }
  }
  assert.match(said({ slirp: {} }, "dhcp6"), /gives no address by it/);
});

test("nothing is said of what a plugin or a device decides", () => {
  const plugins = new Map([["alone", {}]]);
  const plugged = only(explained([{ binding: { name: "alone" }, multus: { networkName: "lan" } }], { plugins }));
  for (const topic of ["in", "mac", "mtu", "dhcp4", "queues"] as const) {
    assert.match(claim(plugged, topic).statement, /binding plugin/, topic);
  }
  assert.deepEqual(notes(plugged), []);
  const lan = { multus: { networkName: "lan" } };
  const device = only(explained([{ sriov: {}, ...lan }]));
  assert.equal(claim(device, "mac").statement, "The guest's NIC has the device's own.");
  assert.match(claim(device, "in").statement, /at the MAC of the device/);
  assert.match(claim(device, "mtu").statement, /^The device's own/);
  assert.match(claim(device, "queues").statement, /^As many as the card's function has/);
  const asked = only(explained([{ sriov: {}, ...lan, macAddress: "02:00:00:00:00:99" }]));
  assert.equal(claim(asked, "mac").statement, "The guest's NIC has 02:00:00:00:00:99, the manifest's.");
  const user = only(explained([{ slirp: {}, pod: {} }]));
  assert.match(claim(user, "queues").statement, /^One queue, as a NIC of model e1000 has/);
  assert.doesNotMatch(claim(only(explained([{ passt: {}, pod: {} }])), "queues").statement, /vhost/);
});

test("the hops of a plugin's tap are the pod's link and the tap", () => {
  const plugins = new Map([["tap", { domainAttachmentType: "tap" }]]);
  const config = { type: "bridge", name: "n", cniVersion: "1.0.0", mtu: 1400 };
  const nic = only(
    explained([{ binding: { name: "tap" }, multus: { networkName: "lan" } }], {
      plugins,
      configOf: () => parseCniObject(config).network,
    }),
  );
  const hops = claim(nic, "mtu")["hops"];
  assert.ok(Array.isArray(hops));
  assert.deepEqual(
    hops.map(({ device, mtu }) => `${device.slice(0, 3)} ${mtu}`),
    ["pod 1400", "tap 1400", "the 1400"],
  );
});

test("a link that is down is told before all that does not hold while it is", () => {
  const down = explained([{ bridge: {}, pod: {}, state: "down" }]);
  assert.equal(only(down).linkUp, false);
  assert.match(renderExplanation(down), /^NIC nic0: .*, its link down: nothing of what follows holds/m);
  assert.doesNotMatch(renderExplanation(explained([{ bridge: {}, pod: {} }])), /its link down/);
});

test("a bridge that may be migrated all the same keeps its address until the lease is renewed", () => {
  const annotations = { "kubevirt.io/allow-pod-bridge-network-live-migration": "" };
  const moved = claim(only(explained([{ bridge: {}, pod: {} }], { annotations })), "migration");
  assert.match(moved.statement, /keeps its address until it renews its lease/);
});

test("S2.30 S2.32 S3.44 S3.45 S3.46 S3.47 S3.58 S3.87 S3.88 S3.89 S3.92 S3.93 S3.99 S3.101 S3.104: the warnings about MACs, sidecars, devices and queues are told where they apply", () => {
  const lan = { multus: { networkName: "lan" } };
  const asked = notes(only(explained([{ bridge: {}, ...lan, macAddress: "02:00:00:00:00:99" }])));
  for (const id of ["S3.19", "S3.104", "S3.80"]) assert.ok(asked.includes(id), id);
  const slirp = notes(only(explained([{ slirp: {}, pod: {} }])));
  for (const id of ["S3.45", "S3.47", "S3.46"]) assert.ok(slirp.includes(id), id);
  const macvtap = notes(only(explained([{ macvtap: {}, ...lan }])));
  for (const id of ["S3.92", "S3.93", "S3.99"]) assert.ok(macvtap.includes(id), id);
  assert.ok(!notes(only(explained([{ bridge: {}, pod: {} }]))).some((id) => ["S3.19", "S3.104", "S3.92"].includes(id)));
});

/** What the documents say beside what can be tried here: statements, where it applies, and the words that tell it. */
const advice: readonly (readonly [statements: string, what: string, nic: Nic, words: RegExp])[] = [
  [
    "S2.37 S3.31",
    "Windows and the MTU of a virtio NIC",
    { masquerade: {}, pod: {} },
    /^Windows needs the newest virtio/,
  ],
  [
    "S3.27 S3.35",
    "Windows and the MTU of other NICs",
    OLD,
    /^Windows ignores the MTU that DHCP tells.*by hand \(netsh\)/,
  ],
  ["S0.14 S1.17 S2.36 S3.23", "guests without virtio drivers", { masquerade: {}, pod: {} }, /use the model e1000/],
  ["S2.59 S3.76", "the vectors of a guest", { masquerade: {}, pod: {} }, /about 200 MSI vectors/],
  ["S2.60 S3.77", "small packets on many queues", { masquerade: {}, pod: {} }, /help what comes in; small TCP packets/],
  ["S2.61 S3.78", "what queues cost", { masquerade: {}, pod: {} }, /^More queues cost more CPU/],
  ["S2.62 S3.79", "switching queues on", { masquerade: {}, pod: {} }, /switch the queues on \(ethtool -L\).*wasted/],
  ["S2.63 S3.80", "many NICs instead of many queues", { masquerade: {}, pod: {} }, /as many NICs as vCPUs/],
  [
    "S2.30 S2.33 S3.20",
    "plugins that have to set a MAC",
    WITH_MAC,
    /has to set it: bridge and ovs do, flannel and ptp with/,
  ],
  ["S2.32 S3.19", "a network where the plugin tuning does not go", WITH_MAC, /OKD's own \(SDN\)/],
  [
    "S3.44 S3.46",
    "slirp as a plugin",
    { slirp: {}, pod: {} },
    /1\.1 on slirp is a binding plugin, from 1\.2 .* registered/,
  ],
  [
    "S3.45",
    "slirp's image where none is registered",
    { slirp: {}, pod: {} },
    /takes the sidecar image .*20230830_638c60fc8/,
  ],
  ["S3.47", "that image without a way out", { slirp: {}, pod: {} }, /a copy of that image in a registry of its own/],
  ["S3.50", "addresses that change", { masquerade: {}, pod: {} }, /changes the pod's address.*Service/],
  ["S3.54", "IPv6 by hand", { masquerade: {}, pod: {} }, /have to be set by hand, by cloud-init/],
  ["S3.58", "the end of passt's field", { passt: {}, pod: {} }, /1\.2 deprecates this field and 1\.3 refuses it/],
  ["S3.68", "passt's buffers", { passt: {}, pod: {} }, /rmem_max and net\.core\.wmem_max of 33554432/],
  ["S3.69", "passt's open files", { passt: {}, pod: {} }, /about 262144 a VM: .*file-max of 9223372036854775807/],
  ["S3.87", "drivers of cards", { sriov: {}, ...LAN }, /the driver of the card: some, such as Mellanox's/],
  ["S3.89", "the end of macvtap's field", { macvtap: {}, ...LAN }, /use the plugin macvtap/],
  ["S3.92", "macvtap on KinD", { macvtap: {}, ...LAN }, /On KinD, nodes need the host's \/dev/],
  ["S3.93", "migration with macvtap", { macvtap: {}, ...LAN }, /Live migration breaks its connections/],
  ["S3.99", "macvtap without a MAC", { macvtap: {}, ...LAN }, /migrates only with a macAddress/],
  ["S3.100 S3.101", "checks of MACs", { bridge: {}, ...LAN }, /macspoofchk of bridge, spoofchk of sriov/],
  ["S3.104", "what the bridge's check needs", { bridge: {}, ...LAN }, /needs nftables and its program nft/],
];

for (const [statements, what, nic, words] of advice) {
  test(`${statements}: explain tells of ${what}`, () => {
    const told = only(explained([nic])).notes.map(({ statement }) => statement);
    assert.equal(told.filter((one) => words.test(one)).length, 1, told.join("\n"));
  });
}

test("S0.22 S1.23 S2.46 S3.43: a guest behind slirp is asked by TCP and UDP alone", () => {
  const nic = only(explained([{ slirp: {}, pod: {}, ports: [{ port: 80 }, { port: 53, protocol: "UDP" }] }]));
  assert.match(claim(nic, "in").statement, /on tcp 80 and udp 53,/);
  assert.notEqual(claim(nic, "in-icmp")["answeredBy"], "guest");
  assert.ok(nic.notes.some(({ statement }) => /TCP and UDP, not ICMP/.test(statement)));
});

test("S3.88: explain tells of the CPU manager where CPUs are dedicated, and only there", () => {
  const told = (dedicatedCpuPlacement: boolean): boolean => {
    const interfaces = [{ name: "nic0", sriov: {} }];
    const spec = {
      domain: { cpu: { dedicatedCpuPlacement }, devices: { interfaces } },
      networks: [{ name: "nic0", ...LAN }],
    };
    return notes(only(explainVmi({ namespace: "ns", name: "vm", hostName: "vm", spec }))).includes("S3.88");
  };
  assert.deepEqual([told(true), told(false)], [true, false]);
});

test("S2.64 S3.81: each queue costs 64 KiB of the kernel's memory", () => {
  const queues = claim(only(explained([{ masquerade: {}, pod: {} }])), "queues");
  assert.deepEqual([queues["queues"], queues["kernelKib"]], [4, 4 * 64]);
});

test("S3.11 S3.12: explain names KubeVirt's issue with each link that a bridge cannot take", () => {
  for (const [type, issue] of [
    ["macvlan", "5483"],
    ["ipvlan", "7001"],
  ] as const) {
    const configOf = () => parseCniObject({ type, name: "n", cniVersion: "1.0.0", master: "eth0" }).network;
    const told = only(explained([{ bridge: {}, ...LAN }], { configOf })).notes.find(({ id }) => id === "S3.11");
    assert.match(told?.statement ?? "", new RegExp(`bridge on ${type} does not work \\(its issue ${issue}\\)`));
  }
});

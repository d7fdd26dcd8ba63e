import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { VmiSpec } from "../api/vmi.ts";
import type { VmiStatus } from "../api/vmi-status.ts";
import type { AgentInterface, AgentReport } from "../guest/agent.ts";
import { hashedInterface } from "../networks/pod-interface.ts";
import type { LinkFacts, PodFacts } from "../wiring/facts.ts";
import { nicContexts, wire } from "../wiring/nics.ts";
import { typicalFacts } from "../wiring/typical-facts.ts";
import { agentChange } from "./agent.ts";
import { interfaceStatuses } from "./interfaces.ts";

const [MAC0, MAC1, MAC2] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"] as const;
const [RED, BLUE] = [hashedInterface("red"), hashedInterface("blue")];

/** Three NICs: a bridge with an address, the pod network's masquerade, a bridge without any. */
const spec: VmiSpec = {
  domain: {
    devices: {
      interfaces: [
        { name: "red", bridge: {} },
        { name: "default", masquerade: {} },
        { name: "blue", bridge: {} },
      ],
    },
  },
  networks: [
    { name: "default", pod: {} },
    { name: "red", multus: { networkName: "red" } },
    { name: "blue", multus: { networkName: "blue" } },
  ],
};
const nics = nicContexts({ spec, hostName: "test" });
const link = (name: string, mac: string, addresses: readonly string[]): LinkFacts => ({
  name,
  kind: "veth",
  mac,
  mtu: 1500,
  up: true,
  addresses: addresses.map((cidr) => ({ cidr, scope: "global" })),
});
const facts: PodFacts = {
  ...typicalFacts,
  links: [...typicalFacts.links, link(RED, MAC1, ["10.50.0.2/24"]), link(BLUE, MAC2, [])],
  routes: [...typicalFacts.routes, { family: 4, destination: "10.50.0.0/24", device: RED }],
  networkStatus: [
    { name: "cbr0", interface: "eth0", default: true },
    { name: "default/red", interface: RED },
    { name: "default/blue", interface: BLUE },
  ],
};
const wiring = wire(nics, facts);
const POD = ["10.244.0.5", "fd10:244::5"];

const guestHas = (...interfaces: readonly AgentInterface[]) =>
  interfaceStatuses(nics, wiring.nics, facts, { interfaces });
const eth = (name: string, mac: string, ...addresses: readonly string[]): AgentInterface => ({ name, mac, addresses });
/** What a guest has that took everything it is served. */
const WHOLE = [
  eth("eth0", MAC0, "10.0.2.2", "fd10:0:2::2", "fe80::1:1"),
  eth("eth1", MAC1, "10.50.0.2", "fe80::1:2"),
  eth("eth2", MAC2, "fe80::1:3"),
] as const;

test("three NICs without an agent", () => {
  const both = { queueCount: 1, linkState: "up" };
  assert.deepEqual(interfaceStatuses(nics, wiring.nics, facts), [
    {
      name: "default",
      mac: MAC0,
      ipAddress: POD[0],
      ipAddresses: POD,
      infoSource: "domain",
      podInterfaceName: "eth0",
      ...both,
    },
    {
      name: "red",
      mac: MAC1,
      ipAddress: "10.50.0.2",
      ipAddresses: ["10.50.0.2"],
      infoSource: "domain, multus-status",
      podInterfaceName: RED,
      ...both,
    },
    { name: "blue", mac: MAC2, infoSource: "domain, multus-status", podInterfaceName: BLUE, ...both },
  ]);
});

test("with an agent: names in the guest, the pod's addresses for masquerade, the guest's own on a bridge", () => {
  assert.deepEqual(
    guestHas(...WHOLE).map(({ name, interfaceName, ipAddresses, infoSource }) => [
      name,
      interfaceName,
      ipAddresses,
      infoSource,
    ]),
    [
      ["default", "eth0", POD, "domain, guest-agent"],
      ["red", "eth1", ["10.50.0.2", "fe80::1:2"], "domain, guest-agent, multus-status"],
      ["blue", "eth2", ["fe80::1:3"], "domain, guest-agent, multus-status"],
    ],
  );
});

test("an address that is set in the guest stands behind the pod's where it can be reached", () => {
  const [first, red] = guestHas(
    eth("eth0", MAC0, "10.0.2.77"),
    eth("eth1", MAC1, "10.50.0.99", "10.50.0.2", "169.254.7.7", "2001:db8::9"),
  );
  assert.deepEqual(first?.ipAddresses, POD);
  assert.deepEqual(red?.ipAddresses, ["10.50.0.2", "10.50.0.99", "2001:db8::9"]);
  assert.equal(red?.ipAddress, "10.50.0.2");
});

test("masquerade without a family in the pod shows what the guest has of it, but its link-local address", () => {
  const links = facts.links.map((one) => ({
    ...one,
    addresses: one.addresses.filter(({ cidr }) => !cidr.includes(":")),
  }));
  const [first] = interfaceStatuses(
    nics,
    wiring.nics,
    { ...facts, links },
    {
      interfaces: [eth("eth0", MAC0, "10.0.2.2", "fe80::1", "2001:db8::9")],
    },
  );
  assert.deepEqual(first?.ipAddresses, ["10.244.0.5", "2001:db8::9"]);
});

test("a bridge, a bond or a VLAN of the guest on a NIC is the NIC's, under the NIC's name", () => {
  const statuses = guestHas(eth("eth1", MAC1), eth("br0", MAC1, "10.50.0.2", "10.50.0.3"));
  assert.equal(statuses.length, 3);
  assert.deepEqual([statuses[1]?.interfaceName, statuses[1]?.ipAddresses], ["eth1", ["10.50.0.2", "10.50.0.3"]]);
});

test("interfaces that only the guest knows, at most ten, behind the NICs", () => {
  const own = Array.from({ length: 12 }, (_, index) =>
    eth(`dummy${index}`, `06:00:00:00:00:${String(index).padStart(2, "0")}`, "fe80::7", "192.0.2.1"),
  );
  const statuses = guestHas(...own, { name: "tun0", addresses: [] }, ...WHOLE);
  assert.equal(statuses.length, 13);
  assert.deepEqual(statuses[3], {
    mac: "06:00:00:00:00:00",
    ipAddress: "192.0.2.1",
    ipAddresses: ["192.0.2.1", "fe80::7"],
    interfaceName: "dummy0",
    infoSource: "guest-agent",
  });
  assert.deepEqual(guestHas({ name: "tun0", addresses: [] })[3], { interfaceName: "tun0", infoSource: "guest-agent" });
});

test("a NIC that QEMU does not have is told by Multus alone; one that is handed over has neither queues nor link", () => {
  const [, , blue] = interfaceStatuses(
    nics,
    wiring.nics.filter(({ name }) => name !== "blue"),
    facts,
  );
  assert.deepEqual(blue, { name: "blue", infoSource: "multus-status", podInterfaceName: BLUE });
  const handedOver = wiring.nics.map((nic) => ({ ...nic, attachment: { kind: "vfio", pci: "0000:81:02.0" } as const }));
  const [first] = interfaceStatuses(nics, handedOver, facts);
  assert.deepEqual([first?.mac, first?.queueCount, first?.linkState], [undefined, undefined, undefined]);
});

const address = fc.oneof(
  fc.ipV4(),
  fc.constantFrom(...POD, "10.0.2.2", "10.50.0.2", "fe80::9", "169.254.1.1", "2001:db8::1", "fd10:0:2::2"),
);
const guestInterface = fc.record({
  name: fc.constantFrom("eth0", "eth1", "br0", "tun0"),
  mac: fc.constantFrom(MAC0, MAC1, MAC2, "06:00:00:00:00:09"),
  addresses: fc.uniqueArray(address, { maxLength: 6 }),
});

test("whatever a guest tells, no address of the pod vanishes, moves or loses its first place", () => {
  const silent = interfaceStatuses(nics, wiring.nics, facts);
  fc.assert(
    fc.property(fc.array(guestInterface, { maxLength: 20 }), (interfaces) => {
      const statuses = guestHas(...interfaces);
      assert.ok(statuses.length <= 13);
      for (const [index, before] of silent.entries()) {
        const { infoSource, interfaceName, ipAddress, ipAddresses = [], ...rest } = statuses[index] ?? {};
        const { infoSource: _s, ipAddress: firstBefore, ipAddresses: given = [], ...same } = before;
        assert.deepEqual(rest, same, "what QEMU and the pod tell stays");
        assert.equal(ipAddress, ipAddresses[0]);
        if (firstBefore !== undefined) assert.equal(ipAddress, firstBefore);
        assert.deepEqual(
          ipAddresses.filter((one) => given.includes(one)),
          given,
        );
        assert.equal(new Set(ipAddresses).size, ipAddresses.length);
        assert.equal(infoSource?.includes("guest-agent"), interfaceName !== undefined);
      }
      for (const { name, queueCount, linkState, infoSource } of statuses.slice(3)) {
        assert.deepEqual([name, queueCount, linkState, infoSource], [undefined, undefined, undefined, "guest-agent"]);
      }
    }),
  );
});

function statusOf(agent: AgentReport | undefined, before: Partial<VmiStatus> = {}): Partial<VmiStatus> {
  return agentChange(agent, nics, wiring, facts)(before, "t1");
}

const os = { id: "debian", kernelRelease: "6.1.0" };

test("the agent's condition is there while its channel is open, and says why it gives no answer", () => {
  const open = statusOf({ channel: "open", said: { interfaces: WHOLE, os }, settled: true });
  assert.deepEqual(open, {
    conditions: [{ type: "AgentConnected", status: "True", lastTransitionTime: "t1" }],
    guestOSInfo: os,
  });
  const mute = statusOf({ channel: "mute", trouble: "It babbles.", settled: false }, open);
  assert.deepEqual(mute.conditions, [
    { type: "AgentConnected", status: "False", reason: "PB5063", message: "It babbles.", lastTransitionTime: "t1" },
  ]);
  assert.deepEqual(statusOf({ channel: "closed", settled: false }, open), { conditions: [] });
  assert.deepEqual(statusOf(undefined, {}), {});
});

test("a guest that lacks what leads to it is told of, once it had the time to get it", () => {
  const lacking = (settled: boolean, ...interfaces: readonly AgentInterface[]): string | undefined => {
    const status = statusOf({ channel: "open", said: { interfaces }, settled });
    const found = status.conditions?.find(({ type }) => type === "GuestAddressesDiffer");
    assert.equal(found?.reason, found === undefined ? undefined : "PB5064");
    return found?.message;
  };
  assert.equal(lacking(true, ...WHOLE), undefined);
  const [, , blue] = WHOLE;
  const others = [eth("eth0", MAC0, "10.0.2.77", "fe80::1"), eth("eth1", MAC1), blue];
  assert.equal(lacking(false, ...others), undefined);
  assert.equal(
    lacking(true, ...others),
    [
      "red (eth1): the pod's 10.50.0.2 is to be the guest's, and the guest's agent tells of no IPv4 address.",
      "default (eth0): the pod's 10.244.0.5 leads to 10.0.2.2, and the guest's agent tells of 10.0.2.77 alone.",
      "default (eth0): the pod's fd10:244::5 leads to fd10:0:2::2, and the guest's agent tells of no IPv6 address.",
    ].join(" "),
  );
  assert.match(lacking(true, ...WHOLE.slice(1)) ?? "", /default \(no NIC of the guest has its MAC 02:00:00:00:00:01\)/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../fault.ts";
import { hashedInterface } from "../networks/pod-interface.ts";
import type { LinkFacts, PodFacts, RouteFacts } from "../wiring/facts.ts";
import { renderTable } from "../wiring/nft.ts";
import { typicalFacts } from "../wiring/typical-facts.ts";
import type { KernelState } from "../wiring/wiring.ts";
import type { NicContext } from "./binding.ts";
import { bridge } from "./bridge.ts";
import { inPodBridge } from "./in-pod-bridge.ts";

const nic: NicContext = {
  name: "default",
  index: 0,
  binding: "bridge",
  network: { kind: "pod", vmNetworkCIDR: "10.0.2.0/24", vmIPv6NetworkCIDR: "fd10:0:2::/120" },
  networkIndex: 0,
  podInterface: "eth0",
  model: "virtio",
  ports: [],
  queues: 1,
  linkUp: true,
  dhcpOptions: { ntpServers: [], privateOptions: [] },
  hostName: "testvmi",
  annotations: {},
};

const lan: NicContext = {
  ...nic,
  name: "red",
  index: 1,
  network: { kind: "multus", networkName: "lan", default: false },
  networkIndex: 1,
  podInterface: hashedInterface("red"),
};

function podWith(link: Partial<LinkFacts>, routes?: readonly Partial<RouteFacts>[]): PodFacts {
  const name = link.name ?? "eth0";
  return {
    ...typicalFacts,
    links: typicalFacts.links.map((one) => ({ ...one, ...link })),
    routes:
      routes?.map((route) => ({ family: 4, destination: "0.0.0.0/0", device: name, ...route })) ?? typicalFacts.routes,
  };
}

test("the guest gets the pod's MAC and IPv4 address, and a stand-in keeps both in the pod", () => {
  const { kernel, nic: guest, services } = bridge.wire(nic, typicalFacts);
  assert.deepEqual(
    kernel.links.map(({ kind, name }) => `${kind} ${name}`),
    ["pod eth0-nic", "bridge k6t-eth0", "tap tap0", "dummy eth0"],
  );
  assert.deepEqual(
    kernel.addresses.map(({ link, cidr }) => `${link} ${cidr}`),
    ["k6t-eth0 169.254.75.10/32", "eth0 10.244.0.5/24", "eth0 fd10:244::5/64"],
  );
  assert.equal(guest.mac, "02:00:00:00:00:01");
  const { dhcp4, dhcp6, ra, device } = services ?? {};
  assert.deepEqual(
    [device, dhcp4?.clientAddress, dhcp4?.prefixLength, dhcp4?.clientMac, dhcp4?.serverAddress, dhcp4?.routers],
    ["k6t-eth0", "10.244.0.5", 24, "02:00:00:00:00:01", "169.254.75.10", ["10.244.0.1"]],
  );
  assert.deepEqual([dhcp6, ra], [undefined, undefined], "no DHCPv6 on a bridge");
});

test("the moved link and the bridge have one MAC, which is not the guest's", () => {
  const { kernel, nic: guest } = bridge.wire({ ...nic, mac: "02:aa:00:00:00:07" }, typicalFacts);
  const [moved, made, tap, standIn] = kernel.links;
  assert.equal(guest.mac, "02:aa:00:00:00:07");
  assert.equal(moved?.mac, made?.mac);
  assert.equal(standIn?.mac, "02:00:00:00:00:01");
  assert.equal(new Set([moved?.mac, tap?.mac, guest.mac, standIn?.mac]).size, 4);
});

test("a guest with another MAC than the pod's link is announced on that link, and no other is", () => {
  assert.deepEqual(bridge.wire({ ...nic, mac: "02:aa:00:00:00:07" }, typicalFacts).announcements, [
    { device: "eth0-nic", address: "10.244.0.5", mac: "02:aa:00:00:00:07" },
  ]);
  assert.deepEqual(bridge.wire(nic, typicalFacts).announcements, []);
  assert.equal(inPodBridge({ ...nic, mac: "02:aa:00:00:00:07" }, typicalFacts, false).announcements, undefined);
});

test("reference 6.2: option 121 has what the subnet does not say, default routes last", () => {
  const routes = [
    { destination: "0.0.0.0/0", gateway: "10.1.2.1" },
    { destination: "10.0.0.0/8", gateway: "10.1.2.3" },
    { destination: "10.1.2.0/24" },
  ];
  const facts = podWith({ addresses: [{ cidr: "10.1.2.9/24", scope: "global" }] }, routes);
  const { dhcp4 } = bridge.wire(nic, facts).services ?? {};
  assert.deepEqual(dhcp4?.routers, ["10.1.2.1"]);
  assert.deepEqual(dhcp4?.classlessRoutes, [
    { destination: "10.0.0.0/8", gateway: "10.1.2.3" },
    { destination: "0.0.0.0/0", gateway: "10.1.2.1" },
  ]);
});

test("an address of its own only, with a gateway on the link: the routes that lead there are told", () => {
  const routes = [{ destination: "0.0.0.0/0", gateway: "169.254.1.1" }, { destination: "169.254.1.1/32" }];
  const facts = podWith({ addresses: [{ cidr: "10.9.9.9/32", scope: "global" }] }, routes);
  const { dhcp4 } = bridge.wire(nic, facts).services ?? {};
  assert.equal(dhcp4?.prefixLength, 32);
  assert.deepEqual(dhcp4?.classlessRoutes, [
    { destination: "169.254.1.1/32", gateway: "0.0.0.0" },
    { destination: "0.0.0.0/0", gateway: "169.254.1.1" },
  ]);
});

test("S3.36: without an IPv4 address from CNI nothing is served, and the bridge has no address", () => {
  const bare = podWith({ name: lan.podInterface, addresses: [{ cidr: "fe80::9/64", scope: "link" }] }, []);
  const { kernel, services } = bridge.wire(lan, bare);
  assert.equal(services, undefined);
  assert.deepEqual(kernel.addresses, []);
  assert.ok(kernel.sysctls.every(({ key }) => key !== "net/ipv4/conf/all/arp_ignore"));
});

test("an address without a route is refused", () => {
  const facts = podWith({ addresses: [{ cidr: "10.9.9.9/32", scope: "global" }] }, []);
  assert.throws(
    () => bridge.wire(nic, facts),
    (thrown) => isFault(thrown, "PB4006"),
  );
});

test("what only carries frames is silent, and a stand-in may keep IPv6 addresses", () => {
  const switches = (facts: PodFacts): string[] =>
    bridge
      .wire(nic, facts)
      .kernel.sysctls.flatMap(({ key, value }) =>
        key.endsWith("disable_ipv6") ? [`${key.split("/")[3] ?? ""} ${value}`] : [],
      );
  const silent = ["eth0-nic 1", "k6t-eth0 1", "tap0 1"];
  assert.deepEqual(switches(typicalFacts), [...silent, "eth0 0"]);
  assert.deepEqual(switches(podWith({ addresses: [{ cidr: "10.244.0.5/24", scope: "global" }] })), silent);
});

test("the DHCP that is served stays between guest and pod, and the bridge's own stack keeps off the network", () => {
  const { kernel, services } = bridge.wire(nic, typicalFacts);
  assert.deepEqual(kernel.tables.map(renderTable), [
    `table bridge k6t-eth0 {
\tchain from-pod {
\t\ttype filter hook output priority -200; policy accept;
\t\toifname "eth0-nic" counter drop
\t}

\tchain to-pod {
\t\ttype filter hook input priority -200; policy accept;
\t\tiifname "eth0-nic" counter drop
\t}

\tchain between {
\t\ttype filter hook forward priority -200; policy accept;
\t\tiifname "tap0" udp sport 68 udp dport 67 counter drop
\t\tiifname "tap0" arp daddr ip 169.254.75.10 counter drop
\t\tiifname "tap0" ip daddr 169.254.75.10 counter drop
\t\tiifname "eth0-nic" udp sport 67 udp dport 68 counter drop
\t}
}`,
  ]);
  assert.ok(kernel.sysctls.some(({ key }) => key === `net/ipv4/conf/${services?.device}/accept_local`));
});

test("where nothing is served the guest's DHCP goes by, and the bridge's own stack is told nothing and tells nothing", () => {
  const bare = podWith({ name: lan.podInterface, addresses: [] }, []);
  const rules = (of: KernelState): unknown => of.tables.map(({ chains }) => chains.map((chain) => chain.rules));
  const [network, tap] = ["b1f51a511f1-nic", "tapb1f51a511f1"];
  assert.deepEqual(rules(bridge.wire(lan, bare).kernel), [
    [
      [`oifname "${network}" counter drop`, `oifname "${tap}" counter drop`],
      [`iifname "${network}" counter drop`, `iifname "${tap}" counter drop`],
    ],
  ]);
  const macvlan = podWith({ name: lan.podInterface, kind: "macvlan", addresses: [] }, []);
  assert.deepEqual(rules(bridge.wire(lan, macvlan).kernel), [
    [[`counter fwd to "${tap}"`], [`counter fwd to "${network}"`]],
  ]);
});

test("a macvlan link and the tap are joined by rules, with the one MAC on both ends", () => {
  const name = lan.podInterface;
  const facts = podWith({ name, kind: "macvlan", addresses: [{ cidr: "10.250.250.2/24", scope: "global" }] }, [
    { destination: "10.250.250.0/24" },
  ]);
  const { kernel, nic: guest, services } = bridge.wire(lan, facts);
  assert.deepEqual(
    kernel.links.map(({ kind, name: link, mac }) => [kind, link, mac === guest.mac]),
    [
      ["pod", "b1f51a511f1-nic", true],
      ["tap", "tapb1f51a511f1", false],
      ["dummy", "podb1f51a511f1", true],
    ],
  );
  assert.equal(services?.device, "tapb1f51a511f1");
  assert.deepEqual(kernel.addresses[0], { link: "tapb1f51a511f1", cidr: "169.254.75.11/32" });
  const [table] = kernel.tables;
  assert.ok(table !== undefined);
  assert.match(
    renderTable(table),
    /device "b1f51a511f1-nic"[\s\S]*udp sport 67 udp dport 68 counter drop\s+counter fwd to "tapb1f51a511f1"[\s\S]*udp sport 68 udp dport 67 counter accept/,
  );
});

test("an ipvlan link keeps the addresses that it hears by, and has the guest's MAC", () => {
  const { kernel, nic: guest } = bridge.wire({ ...nic, mac: "02:00:00:00:00:01" }, podWith({ kind: "ipvlan" }));
  const [moved] = kernel.links;
  assert.deepEqual([moved?.name, moved?.mac], ["eth0-nic", guest.mac]);
  assert.deepEqual(
    kernel.addresses.map(({ link, cidr }) => `${link} ${cidr}`),
    [
      "tap0 169.254.75.10/32",
      "eth0 10.244.0.5/24",
      "eth0 fd10:244::5/64",
      "eth0-nic 10.244.0.5/24",
      "eth0-nic fd10:244::5/64",
    ],
  );
  const six = ({ sysctls }: KernelState): unknown =>
    sysctls.filter(({ key }) => key.includes("ipv6/conf/eth0-nic")).map(({ key, value }) => [key.slice(23), value]);
  assert.deepEqual(six(kernel), [
    ["disable_ipv6", "0"],
    ["addr_gen_mode", "1"],
  ]);
  const four = podWith({ kind: "ipvlan", addresses: [{ cidr: "10.244.0.5/24", scope: "global" }] });
  assert.deepEqual(six(bridge.wire(nic, four).kernel), [["disable_ipv6", "1"]]);
});

test("a link whose place no guest can take is refused, with another way", () => {
  const other = { ...nic, mac: "02:aa:00:00:00:07" };
  const rows: readonly (readonly [at: string, link: Partial<LinkFacts>, cure: RegExp, iface?: NicContext])[] = [
    ["bridge", { kind: "macvtap" }, /the macvtap binding/],
    ["bridge", { kind: "ipvtap" }, /CNI plugin bridge, ptp or macvlan makes/],
    ["bridge", { kind: "ipvlan", noArp: true }, /the mode l2.*masquerade/],
    ["macAddress", { kind: "ipvlan" }, /Leave macAddress out/, other],
  ];
  for (const [at, link, cure, iface = nic] of rows) {
    for (const serve of [true, false]) {
      assert.throws(
        () => inPodBridge(iface, podWith(link), serve),
        (thrown) =>
          isFault(thrown, "PB4009") &&
          thrown.place === `spec.domain.devices.interfaces[0].${at}` &&
          cure.test(thrown.cure ?? ""),
        JSON.stringify(link),
      );
    }
  }
});

test("two bridges in one pod share no name and no server address", () => {
  const facts: PodFacts = {
    ...typicalFacts,
    links: typicalFacts.links.flatMap((link) => [link, { ...link, name: lan.podInterface }]),
    routes: typicalFacts.routes.flatMap((route) => [route, { ...route, device: lan.podInterface }]),
  };
  const one = bridge.wire(nic, facts);
  const other = bridge.wire(lan, facts);
  const names = [...one.kernel.links, ...other.kernel.links].map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  assert.notEqual(one.services?.dhcp4?.serverAddress, other.services?.dhcp4?.serverAddress);
  const hundredth = bridge.wire({ ...nic, index: 112 }, facts);
  assert.equal(hundredth.services?.dhcp4?.serverAddress, "169.254.76.112");
});

test("without serving, as for managedTap, the link is moved all the same", () => {
  const { kernel, services } = inPodBridge(nic, typicalFacts, false);
  assert.equal(services, undefined);
  assert.deepEqual(kernel.links.length, 4);
  assert.equal(kernel.tables[0]?.chains.length, 2, "the guest's DHCP is let by");
  assert.ok(kernel.addresses.every(({ link }) => link === "eth0"));
});

test("on the pod network a bridge migrates only where the annotation says so", () => {
  assert.equal(bridge.migration(nic).migratable, false);
  assert.equal(bridge.migration(lan).migratable, true);
  const annotations = { "kubevirt.io/allow-pod-bridge-network-live-migration": "" };
  assert.equal(bridge.migration({ ...nic, annotations }).migratable, true);
});

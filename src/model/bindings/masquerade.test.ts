import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../fault.ts";
import type { LinkFacts, PodFacts } from "../wiring/facts.ts";
import { type NftTable, renderTable } from "../wiring/nft.ts";
import { typicalFacts } from "../wiring/typical-facts.ts";
import type { NicContext } from "./binding.ts";
import { masquerade } from "./masquerade.ts";

const nic: NicContext = {
  name: "default",
  index: 0,
  binding: "masquerade",
  network: { kind: "pod", vmNetworkCIDR: "10.0.2.0/24", vmIPv6NetworkCIDR: "fd10:0:2::/120" },
  networkIndex: 0,
  podInterface: "eth0",
  model: "virtio",
  ports: [],
  queues: 1,
  linkUp: true,
  dhcpOptions: { ntpServers: [], privateOptions: [] },
  annotations: {},
  hostName: "testvmi",
};

function factsWith(change: (link: LinkFacts) => LinkFacts): PodFacts {
  return { ...typicalFacts, links: typicalFacts.links.map(change) };
}

function onlyFamily(family: 4 | 6): PodFacts {
  return factsWith((link) => ({
    ...link,
    addresses: link.addresses.filter(({ cidr }) => cidr.includes(":") === (family === 6)),
  }));
}

test("S3.53: dual stack: gateway, guest and NAT of both families on one tap", () => {
  const { kernel, nic: guest } = masquerade.wire(nic, typicalFacts);
  assert.deepEqual(kernel.links, [{ kind: "tap", name: "tap0", mac: "02:00:00:00:00:00", mtu: 1500, queues: 1 }]);
  assert.deepEqual(
    kernel.addresses.map(({ cidr }) => cidr),
    ["10.0.2.1/24", "fd10:0:2::1/120", "fe80::1/64"],
  );
  assert.deepEqual(
    kernel.tables.map(({ family }) => family),
    ["ip", "ip6"],
  );
  assert.equal(
    guest.mac,
    "02:00:00:00:00:01",
    "without a MAC in the manifest the guest has the pod link's (reference 2.4)",
  );
});

test("the rules of one port are those of reference 5.3, the port in a set", () => {
  const { kernel } = masquerade.wire({ ...nic, ports: [{ protocol: "tcp", port: 80 }] }, onlyFamily(4));
  assert.equal(kernel.tables.length, 1);
  const [table] = kernel.tables;
  assert.ok(table);
  assert.equal(
    renderTable(table).replaceAll("\t", ""),
    `table ip nat {
set ports {
type inet_proto . inet_service
elements = { tcp . 80 }
}

chain prerouting {
type nat hook prerouting priority -100; policy accept;
iifname "eth0" counter jump KUBEVIRT_PREINBOUND
iifname "tap0" ip daddr 10.244.0.5 counter jump KUBEVIRT_PREINBOUND
}

chain input {
type nat hook input priority 100; policy accept;
}

chain output {
type nat hook output priority -100; policy accept;
ip daddr 127.0.0.1 meta l4proto . th dport @ports counter dnat to 10.0.2.2
}

chain postrouting {
type nat hook postrouting priority 100; policy accept;
ip saddr 10.0.2.2 counter masquerade
oifname "tap0" counter jump KUBEVIRT_POSTINBOUND
}

chain KUBEVIRT_PREINBOUND {
meta l4proto . th dport @ports counter dnat to 10.0.2.2
}

chain KUBEVIRT_POSTINBOUND {
ip saddr 127.0.0.1 meta l4proto . th dport @ports counter snat to 10.0.2.1
}
}`,
  );
});

test("S3.51: without ports everything is translated", () => {
  const { kernel } = masquerade.wire(nic, onlyFamily(4));
  const inbound = kernel.tables[0]?.chains.find(({ name }) => name === "KUBEVIRT_PREINBOUND");
  assert.deepEqual(inbound?.rules, ["counter dnat to 10.0.2.2"]);
});

test("repeated ports are one element, sorted as nft lists them", () => {
  const ports = [
    { protocol: "udp", port: 53 },
    { protocol: "tcp", port: 443 },
    { protocol: "tcp", port: 80 },
    { protocol: "tcp", port: 443 },
  ] as const;
  const { kernel } = masquerade.wire({ ...nic, ports }, typicalFacts);
  assert.deepEqual(kernel.tables[1]?.sets[0]?.elements, ["tcp . 80", "tcp . 443", "udp . 53"]);
});

test("single stack: only that family is wired and served", () => {
  const v4 = masquerade.wire(nic, onlyFamily(4));
  assert.deepEqual(v4.services?.dhcp6, undefined);
  assert.deepEqual(v4.services?.ra, undefined);
  assert.ok(v4.services?.dhcp4);
  assert.deepEqual(
    v4.kernel.sysctls.map(({ key }) => key),
    ["net/ipv4/ip_forward", "net/ipv4/conf/tap0/route_localnet"],
  );
  const v6 = masquerade.wire(nic, onlyFamily(6));
  assert.deepEqual(v6.services?.dhcp4, undefined);
  assert.equal(v6.services?.ra?.prefix, "fd10:0:2::/120");
  assert.deepEqual(v6.kernel.sysctls, [
    { key: "net/ipv6/conf/all/forwarding", value: "1" },
    { key: "net/ipv6/conf/tap0/disable_ipv6", value: "0" },
  ]);
});

for (const [cidr, gateway, guest, prefixLength] of [
  ["10.11.12.0/24", "10.11.12.1", "10.11.12.2", 24],
  ["10.10.10.77/24", "10.10.10.1", "10.10.10.2", 24],
  ["192.168.66.0/30", "192.168.66.1", "192.168.66.2", 30],
] as const) {
  test(`vmNetworkCIDR ${cidr}: gateway ${gateway}, guest ${guest} (reference 5.2)`, () => {
    const network = { kind: "pod", vmNetworkCIDR: cidr, vmIPv6NetworkCIDR: "fd10:10:10::/126" } as const;
    const { services, kernel } = masquerade.wire({ ...nic, network }, typicalFacts);
    assert.equal(services?.dhcp4?.serverAddress, gateway);
    assert.equal(services?.dhcp4?.clientAddress, guest);
    assert.equal(services?.dhcp4?.prefixLength, prefixLength);
    assert.equal(services?.dhcp6?.clientAddress, "fd10:10:10::2");
    assert.ok(kernel.addresses.some((address) => address.cidr === "fd10:10:10::1/126"));
  });
}

for (const [field, cidr] of [
  ["vmNetworkCIDR", "192.168.66.0/31"],
  ["vmNetworkCIDR", "10.10"],
  ["vmNetworkCIDR", "fd10::/64"],
  ["vmIPv6NetworkCIDR", "fd10:10:10::/127"],
  ["vmIPv6NetworkCIDR", "10.0.0.0/24"],
] as const) {
  test(`${field} ${cidr} is refused`, () => {
    const network = {
      kind: "pod",
      vmNetworkCIDR: "10.0.2.0/24",
      vmIPv6NetworkCIDR: "fd10:0:2::/120",
      [field]: cidr,
    } as const;
    assert.throws(
      () => masquerade.wire({ ...nic, network, networkIndex: 2 }, typicalFacts),
      (thrown) => isFault(thrown, "PB4003") && thrown.place === `spec.networks[2].pod.${field}`,
    );
  });
}

test("a pod without the link, or with a link without addresses, is refused", () => {
  assert.throws(
    () => masquerade.wire({ ...nic, podInterface: "eth7" }, typicalFacts),
    (thrown) => isFault(thrown, "PB4002"),
  );
  assert.throws(
    () =>
      masquerade.wire(
        nic,
        factsWith((link) => ({ ...link, addresses: [] })),
      ),
    (thrown) => isFault(thrown, "PB4005"),
  );
});

test("MTU, DNS, search domains and dhcpOptions reach the services", () => {
  const facts = factsWith((link) => ({ ...link, mtu: 1400 }));
  const dhcpOptions = {
    ntpServers: ["10.0.0.1"],
    tftpServerName: "tftp.example.com",
    bootFileName: "a.bin",
    privateOptions: [{ option: 240, value: "x" }],
  };
  const { services, nic: guest } = masquerade.wire({ ...nic, subdomain: "sub", dhcpOptions }, facts);
  assert.equal(guest.mtu, 1400);
  assert.equal(services?.ra?.mtu, 1400);
  assert.deepEqual(services?.dhcp4, {
    serverAddress: "10.0.2.1",
    clientAddress: "10.0.2.2",
    prefixLength: 24,
    leaseSeconds: 86_313_600,
    mtu: 1400,
    routers: ["10.0.2.1"],
    dnsServers: ["10.96.0.10"],
    hostName: "testvmi",
    domainName: "sub.default.svc.cluster.local",
    searchDomains: ["sub.default.svc.cluster.local", "default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    classlessRoutes: [],
    ...dhcpOptions,
  });
});

const rulesOf = (table: NftTable | undefined, chain: string): readonly string[] | undefined =>
  table?.chains.find(({ name }) => name === chain)?.rules;

test("with a proxy of a mesh in the pod only SSH comes in straight (reference 5.3)", () => {
  const meshed = { ...nic, annotations: { "sidecar.istio.io/inject": "True" } };
  const [v4, v6] = masquerade.wire(meshed, typicalFacts).kernel.tables;
  const ports = "{ 15000, 15001, 15004, 15006, 15008, 15009, 15020, 15021, 15053, 15090 }";
  assert.deepEqual(rulesOf(v4, "KUBEVIRT_PREINBOUND"), ["tcp dport 22 counter dnat to 10.0.2.2"]);
  assert.deepEqual(rulesOf(v4, "output"), [
    `ip saddr 127.0.0.1 tcp dport ${ports} counter return`,
    "ip daddr { 127.0.0.1, 10.244.0.5 } counter dnat to 10.0.2.2",
  ]);
  assert.deepEqual(rulesOf(v4, "KUBEVIRT_POSTINBOUND"), [
    `ip saddr 127.0.0.1 tcp dport ${ports} counter return`,
    "ip saddr { 127.0.0.1, 127.0.0.6 } counter snat to 10.0.2.1",
  ]);
  assert.deepEqual(rulesOf(v6, "output"), [
    `ip6 saddr ::1 tcp dport ${ports} counter return`,
    "ip6 daddr ::1 counter dnat to fd10:0:2::2",
  ]);
});

test("in a mesh a list of ports lets in by itself what it has of port 22", () => {
  const preinbound = (ports: NicContext["ports"]): readonly string[] | undefined => {
    const meshed = { ...nic, ports, annotations: { "sidecar.istio.io/inject": "true" } };
    return rulesOf(masquerade.wire(meshed, onlyFamily(4)).kernel.tables[0], "KUBEVIRT_PREINBOUND");
  };
  assert.deepEqual(preinbound([{ protocol: "tcp", port: 80 }]), []);
  assert.deepEqual(preinbound([{ protocol: "udp", port: 22 }]), []);
  assert.deepEqual(preinbound([{ protocol: "tcp", port: 20, last: 25 }]), ["tcp dport 22 counter dnat to 10.0.2.2"]);
  assert.deepEqual(
    rulesOf(
      masquerade.wire({ ...nic, annotations: { "sidecar.istio.io/inject": "no" } }, onlyFamily(4)).kernel.tables[0],
      "KUBEVIRT_PREINBOUND",
    ),
    ["counter dnat to 10.0.2.2"],
  );
});

test("S2.49 S3.52: on another network than the pod's it is refused as the rules refuse it", () => {
  const network = { kind: "multus", networkName: "lan", default: false } as const;
  assert.throws(
    () => masquerade.wire({ ...nic, network }, typicalFacts),
    (thrown) => isFault(thrown, "PB2020"),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import { isFault } from "../fault.ts";
import { type PodFacts, parsePodFacts } from "../wiring/facts.ts";
import { type NicsRequest, nicContexts } from "../wiring/nics.ts";
import { factsFor } from "../wiring/typical-facts.ts";
import type { NicContext, NicWiring } from "./binding.ts";
import { fewerPortsOf, passtOverhead } from "./passt.ts";
import { bindingOf } from "./registry.ts";

function contextOf(iface: Partial<Interface>, network: Partial<Network>, more: Partial<NicsRequest> = {}): NicContext {
  const spec = {
    domain: { devices: { interfaces: [{ name: "red", ...iface }] } },
    networks: [{ name: "red", ...network }],
  };
  const [nic] = nicContexts({ spec, hostName: "guest", ...more });
  assert.ok(nic !== undefined);
  return nic;
}

function wired(nic: NicContext, change: (facts: PodFacts) => PodFacts = (facts) => facts): NicWiring {
  return bindingOf(nic.binding).wire(nic, change(factsFor([nic], () => undefined)));
}

const pod = { pod: {} };
const lan = { multus: { networkName: "lan" } };
const only =
  (...families: readonly (4 | 6)[]) =>
  (facts: PodFacts): PodFacts => ({
    ...facts,
    links: facts.links.map((link) => ({
      ...link,
      addresses: link.addresses.filter(({ cidr }) => families.includes(cidr.includes(":") ? 6 : 4)),
    })),
  });
const isUntouched = ({ kernel }: NicWiring): boolean => Object.values(kernel).every((list) => list.length === 0);

test("a search domain that is none reaches neither passt nor slirp, which do not start with every word; passt takes six, and explain says which are left out", () => {
  const search = ["bad..domain", "_x", "-", `${"a".repeat(64)}.x`, "Good.example.", "b.x", "c.x", "d.x", "e.x", "f.x"];
  const searching =
    (domains: readonly string[]) =>
    (facts: PodFacts): PodFacts => ({ ...facts, resolver: { ...facts.resolver, search: domains } });
  const searchOf = (iface: Partial<Interface>): readonly string[] => {
    const { attachment } = wired(contextOf(iface, pod), searching(search)).nic;
    assert.ok(attachment.kind === "stream" || attachment.kind === "user");
    return attachment.search;
  };
  const sound = ["_x", "good.example", "b.x", "c.x", "d.x", "e.x", "f.x"];
  assert.deepEqual(searchOf({ slirp: {} }), sound);
  assert.deepEqual(searchOf({ passt: {} }), sound.slice(0, 6));

  const told = (iface: Partial<Interface>, domains: readonly string[]): string => {
    const nic = contextOf(iface, pod);
    const facts = searching(domains)(factsFor([nic], () => undefined));
    const binding = bindingOf(nic.binding);
    return /search domains .*/.exec(binding.explain(nic, facts, binding.wire(nic, facts)).out.statement)?.[0] ?? "";
  };
  const wrong = `bad..domain, -, ${"a".repeat(64)}.x (no domain)`;
  assert.equal(told({ passt: {} }, search), `search domains it is not told ${wrong} and f.x (6 are taken).`);
  assert.equal(told({ slirp: {} }, search), `search domains it is not told ${wrong}.`);
  assert.deepEqual([told({ passt: {} }, sound.slice(1)), told({ slirp: {} }, sound)], ["", ""]);
});

test("S0.8 S0.13 S0.20 S1.15 S1.21 S2.34 S2.46 S3.22: slirp: QEMU's own network, nothing built, each listed port forwarded once", () => {
  const ports = [{ port: 80 }, { port: 80, name: "again" }, { port: 53, protocol: "UDP" }];
  const wiring = wired(contextOf({ slirp: {}, ports }, { pod: { vmNetworkCIDR: "10.7.0.0/24" } }));
  assert.deepEqual(
    wiring.kernel.sysctls.map(({ key }) => key),
    ["net/ipv4/ip_unprivileged_port_start"],
  );
  assert.ok(isUntouched({ ...wiring, kernel: { ...wiring.kernel, sysctls: [] } }));
  assert.ok(isUntouched(wired(contextOf({ slirp: {}, ports: [{ port: 8080 }] }, pod))));
  assert.equal(wiring.services, undefined);
  assert.deepEqual(wiring.nic.attachment, {
    kind: "user",
    cidr: "10.7.0.0/24",
    gateway: "10.7.0.2",
    nameserver: "10.7.0.3",
    guest: "10.7.0.15",
    families: [4, 6],
    forwards: [
      { protocol: "tcp", port: 80 },
      { protocol: "udp", port: 53 },
    ],
    nameservers: ["10.96.0.10", "fd10:96::a"],
    search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
  });
});

test("slirp: QEMU's own addresses in a network of any size, and others where those would not fit", () => {
  const hosts = (vmNetworkCIDR: string): unknown => {
    const { attachment } = wired(contextOf({ slirp: {} }, { pod: { vmNetworkCIDR } })).nic;
    assert.ok(attachment.kind === "user");
    return [attachment.gateway, attachment.nameserver, attachment.guest];
  };
  assert.deepEqual(hosts("10.0.2.0/24"), ["10.0.2.2", "10.0.2.3", "10.0.2.15"]);
  assert.deepEqual(hosts("10.4.0.0/16"), ["10.4.2.2", "10.4.2.3", "10.4.2.15"]);
  assert.deepEqual(hosts("10.0.2.64/27"), ["10.0.2.66", "10.0.2.67", "10.0.2.79"]);
  assert.deepEqual(hosts("10.0.2.64/28"), ["10.0.2.66", "10.0.2.67", "10.0.2.68"]);
  assert.deepEqual(hosts("10.0.2.8/29"), ["10.0.2.10", "10.0.2.11", "10.0.2.12"]);
  assert.throws(
    () => hosts("10.0.2.8/30"),
    (thrown) => isFault(thrown, "PB4003"),
  );
});

test("slirp: more ports than QEMU can be told are refused, not tried", () => {
  const ports = (count: number) => Array.from({ length: count }, (_, index) => ({ port: 1000 + index }));
  const { attachment } = wired(contextOf({ slirp: {}, ports: ports(4096) }, pod)).nic;
  assert.ok(attachment.kind === "user" && attachment.forwards.length === 4096);
  assert.throws(
    () => wired(contextOf({ slirp: {}, ports: ports(4097) }, pod)),
    (thrown) => isFault(thrown, "PB4027") && thrown.place === "spec.domain.devices.interfaces[0].ports",
  );
});

test("slirp: a pod's families are the guest's, and nothing comes in by IPv6", () => {
  const { attachment } = wired(contextOf({ slirp: {}, ports: [{ port: 80 }] }, pod), only(6)).nic;
  assert.ok(attachment.kind === "user");
  assert.deepEqual([attachment.families, attachment.forwards], [[6], []]);
  assert.throws(
    () => wired(contextOf({ slirp: {} }, pod), only()),
    (thrown) => isFault(thrown, "PB4005"),
  );
});

test("passt: all ports where none is listed, else those, sorted; its own sysctls", () => {
  const all = wired(contextOf({ passt: {} }, pod));
  assert.ok(all.nic.attachment.kind === "stream");
  assert.deepEqual(all.nic.attachment.ports, { tcp: "all", udp: "all" });
  assert.deepEqual(
    all.kernel.sysctls.map(({ key }) => key),
    ["net/ipv4/ping_group_range", "net/ipv4/ip_unprivileged_port_start"],
  );
  const some = wired(contextOf({ passtBinding: {}, ports: [{ port: 443 }, { port: 80 }, { port: 443 }] }, pod));
  assert.ok(some.nic.attachment.kind === "stream");
  assert.deepEqual(some.nic.attachment.ports, { tcp: [{ port: 80 }, { port: 443 }], udp: [] });
  assert.equal(bindingOf("passt").migration(contextOf({ passt: {} }, pod)).migratable, false);
  assert.equal(bindingOf("passtBinding").migration(contextOf({ passtBinding: {} }, pod)).migratable, true);
});

const ports = (nic: Parameters<typeof wired>[0], change?: (facts: PodFacts) => PodFacts): unknown => {
  const { attachment } = change === undefined ? wired(nic).nic : wired(nic, change).nic;
  assert.ok(attachment.kind === "stream");
  return attachment.ports;
};

test("S3.60 S3.63: passt in a mesh: its proxy keeps its ports (reference 5.4)", () => {
  const annotations = { "sidecar.istio.io/inject": "true" };
  const all = { ...contextOf({ passt: {} }, pod), annotations };
  assert.deepEqual(ports(all), {
    tcp: [
      { port: 1, last: 14999 },
      { port: 15002, last: 15003 },
      { port: 15005 },
      { port: 15007 },
      { port: 15010, last: 15019 },
      { port: 15022, last: 15052 },
      { port: 15054, last: 15089 },
      { port: 15091, last: 49151 },
    ],
    udp: [],
  });
  const some = contextOf({ passt: {}, ports: [{ port: 15001 }, { port: 81 }, { port: 80 }] }, pod);
  assert.deepEqual(ports({ ...some, annotations }), { tcp: [{ port: 80, last: 81 }], udp: [] });
});

test("passt: the memory that the pod asks for beside the guest's (reference 4.9)", () => {
  const mebibytes = (...nics: readonly NicContext[]): number => Number(passtOverhead(nics) >> 20n);
  const some = [{ port: 80 }];
  assert.equal(mebibytes(contextOf({ passt: {} }, pod)), 800);
  assert.equal(mebibytes(contextOf({ passt: {}, ports: some }, pod)), 0);
  const newer = contextOf({ passtBinding: {}, ports: some }, pod);
  assert.equal(mebibytes(newer, newer), 250);
  assert.equal(mebibytes(contextOf({ masquerade: {} }, pod)), 0);
});

test("passt: as many ports as a process may have files, the well-known ones first", () => {
  const limited =
    (openFiles: number) =>
    (facts: PodFacts): PodFacts => ({ ...facts, openFiles });
  const all = contextOf({ passt: {} }, pod);
  assert.deepEqual(ports(all, limited(1_048_576)), { tcp: "all", udp: "all" });
  assert.deepEqual(ports(all, limited(20_000)), {
    tcp: [{ port: 1, last: 16930 }],
    udp: [{ port: 1, last: 1023 }],
  });
  assert.deepEqual(ports(all, limited(1_000)), { tcp: [], udp: [] });
  const told = (nic: NicContext, files: number): string | undefined =>
    fewerPortsOf([nic], limited(files)(factsFor([nic], () => undefined)))?.message;
  assert.match(told(all, 20_000) ?? "", /on tcp 1–16930 and udp 1–1023 alone.*20000 files/);
  assert.equal(told(all, 1_048_576), undefined);
  assert.equal(told(contextOf({ passt: {}, ports: [{ port: 80 }] }, pod), 20_000), undefined);
  assert.deepEqual(ports(contextOf({ passt: {}, ports: [{ port: 80 }] }, pod), limited(20_000)), {
    tcp: [{ port: 80 }],
    udp: [],
  });
});

test("passt: a family without a default route is none, and a link without any is refused", () => {
  const all = contextOf({ passt: {} }, pod);
  const routes =
    (keep: readonly number[]) =>
    (facts: PodFacts): PodFacts => ({
      ...facts,
      routes: facts.routes.filter(({ family }) => keep.includes(family)),
    });
  const { attachment } = wired(all, routes([6])).nic;
  assert.ok(attachment.kind === "stream");
  assert.deepEqual(attachment.families, [6]);
  assert.throws(
    () => wired(all, routes([])),
    (thrown) => isFault(thrown, "PB4006"),
  );
  assert.throws(
    () => wired(all, only()),
    (thrown) => isFault(thrown, "PB4005"),
  );
});

test("S3.90: macvtap: QEMU holds the pod's link, whose MAC is the guest's", () => {
  const nic = contextOf({ macvtap: {} }, lan);
  const wiring = wired({ ...nic, mac: "02:aa:00:00:00:01" });
  assert.deepEqual(wiring.nic.attachment, { kind: "macvtap", device: "podb1f51a511f1", queues: 1 });
  assert.deepEqual(
    wiring.kernel.links.map(({ name, mac }) => [name, mac]),
    [["podb1f51a511f1", "02:aa:00:00:00:01"]],
  );
  const veth = (facts: PodFacts): PodFacts => ({
    ...facts,
    links: facts.links.map((link) => ({ ...link, kind: "veth" })),
  });
  assert.throws(
    () => wired(nic, veth),
    (thrown) => isFault(thrown, "PB4007"),
  );
  assert.throws(
    () => wired(nic, (facts) => ({ ...facts, links: [] })),
    (thrown) => isFault(thrown, "PB4002"),
  );
});

test("S2.65 S3.82: sriov: the device that was claimed for the network, whatever model is written", () => {
  const nic = contextOf({ sriov: {}, model: "e1000" }, lan);
  const wiring = wired(nic);
  assert.ok(isUntouched(wiring));
  assert.deepEqual([wiring.nic.attachment.kind, wiring.nic.model], ["vfio", "vfio-pci"]);
  const none = (facts: PodFacts): PodFacts => ({ ...facts, devices: [] });
  assert.throws(
    () => wired(nic, none),
    (thrown) => isFault(thrown, "PB4008"),
  );
});

test("a plugin is plugged as its registration says: by itself, into its tap, or behind a bridge", () => {
  const plugins: NicsRequest["plugins"] = new Map([
    ["tap", { domainAttachmentType: "tap" }],
    ["managed", { domainAttachmentType: "managedTap", migration: {} }],
    ["alone", {}],
  ]);
  const of = (name: string, network: Partial<Network>): NicContext =>
    contextOf({ binding: { name } }, network, { plugins });
  assert.deepEqual(wired(of("alone", pod)).nic.attachment, { kind: "plugin", plugin: "alone" });
  assert.deepEqual(wired(of("managed", pod)).nic.attachment, { kind: "tap", device: "tap0", queues: 1 });
  assert.equal(wired(of("managed", pod)).services, undefined);
  assert.deepEqual(wired(of("tap", lan)).nic.attachment, { kind: "tap", device: "podb1f51a511f1", queues: 1 });
  const ofKind = (kind: string) => (facts: PodFacts) => ({
    ...facts,
    links: facts.links.map((link) => ({ ...link, kind })),
  });
  assert.equal(wired(of("tap", lan), ofKind("macvtap")).nic.attachment.kind, "macvtap");
  const beside = (facts: PodFacts): PodFacts => ({
    ...facts,
    links: facts.links.flatMap((link) => [link, { ...link, name: "tapb1f51a511f1", kind: "tun" }]),
  });
  assert.deepEqual(wired(of("tap", lan), beside).nic.attachment, { kind: "tap", device: "tapb1f51a511f1", queues: 1 });
  const { migration } = bindingOf("binding");
  assert.deepEqual(
    [of("alone", pod), of("managed", pod), of("alone", lan)].map((nic) => migration(nic).migratable),
    [false, true, true],
  );
  assert.throws(
    () => wired(of("tap", lan), ofKind("veth")),
    (thrown) => isFault(thrown, "PB4007") && (thrown.cure ?? "").includes('"tapb1f51a511f1"'),
  );
});

test("runs of ports are let in as ports are", () => {
  const nic = contextOf({ masquerade: {}, portRanges: [{ protocol: "TCP", start: 1000, end: 2000 }] }, pod);
  const [table] = wired(nic).kernel.tables;
  assert.deepEqual(table?.sets, [
    { name: "ports", type: "inet_proto . inet_service", flags: ["interval"], elements: ["tcp . 1000-2000"] },
  ]);
});

test("facts as they were kept give the wiring that they gave first, and another pod nothing but other MACs", () => {
  for (const [iface, network, derivesMacs] of [
    [{ bridge: {} }, pod, true],
    [{ masquerade: {} }, pod, false],
    [{ slirp: {} }, pod, true],
    [{ passt: {} }, pod, true],
    [{ macvtap: {} }, lan, false],
    [{ sriov: {} }, lan, true],
  ] as const) {
    const nic = contextOf(iface, network);
    const first = wired(nic);
    const kept = wired(nic, (facts) => {
      const read = parsePodFacts(JSON.stringify(facts));
      assert.ok(read !== undefined && read !== facts);
      return read;
    });
    assert.deepEqual(kept, first);
    const other = wired(nic, (facts) => ({ ...facts, podUid: "another" }));
    const withoutMacs = (wiring: NicWiring): unknown =>
      JSON.parse(JSON.stringify(wiring), (key, value: unknown) => (key === "mac" ? "a MAC" : value));
    assert.deepEqual(withoutMacs(other), withoutMacs(first));
    assert.equal(isDeepStrictEqual(other, first), !derivesMacs, JSON.stringify(iface));
  }
});

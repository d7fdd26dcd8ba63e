import assert from "node:assert/strict";
import { test } from "node:test";
import type { Interface } from "../api/interfaces.ts";
import type { Network } from "../api/networks.ts";
import type { NicWiring } from "../bindings/binding.ts";
import { bindingOf } from "../bindings/registry.ts";
import { isFault } from "../fault.ts";
import { hashedInterface } from "../networks/pod-interface.ts";
import { mergeWirings } from "./merge.ts";
import { nicContexts, wire } from "./nics.ts";
import { tableKey } from "./steps.ts";
import { factsFor, typicalFacts } from "./typical-facts.ts";
import type { Wiring } from "./wiring.ts";

type Given = readonly [name: string, iface: Partial<Interface>, network: Partial<Network>];

function wired(...given: readonly Given[]): Wiring {
  const nics = nicContexts({
    spec: {
      domain: { devices: { interfaces: given.map(([name, iface]) => ({ name, ...iface })) } },
      networks: given.map(([name, , network]) => ({ name, ...network })),
    },
    hostName: "guest",
  });
  const facts = factsFor(nics, () => undefined);
  const red = hashedInterface("red");
  const links = facts.links.map((link) =>
    link.name === red ? { ...link, addresses: [{ cidr: "10.1.1.2/24", scope: "global" } as const] } : link,
  );
  return wire(nics, {
    ...facts,
    links,
    routes: [...facts.routes, { family: 4, destination: "10.1.1.0/24", device: red }],
  });
}

const pod = { pod: {} };
const red: Given = ["red", { bridge: {} }, { multus: { networkName: "lan" } }];

test("masquerade and a bridge make one wiring that has both, in the order of the manifest", () => {
  const { kernel, nics, services } = wired(["default", { masquerade: {} }, pod], red);
  assert.deepEqual(
    nics.map(({ name }) => name),
    ["default", "red"],
  );
  assert.deepEqual(
    kernel.links.map(({ name }) => name),
    ["tap0", "b1f51a511f1-nic", "k6t-b1f51a511f1", "tapb1f51a511f1", "podb1f51a511f1"],
  );
  assert.deepEqual(kernel.tables.map(tableKey), ["ip nat", "ip6 nat", "bridge k6t-b1f51a511f1"]);
  assert.deepEqual(
    services.map(({ nic, device }) => [nic, device]),
    [
      ["default", "tap0"],
      ["red", "k6t-b1f51a511f1"],
    ],
  );
});

test("two bridges have tables and sysctls of their own, and what both want is there once", () => {
  const { kernel } = wired(["default", { bridge: {} }, pod], red);
  assert.deepEqual(kernel.tables.map(tableKey), ["bridge k6t-eth0", "bridge k6t-b1f51a511f1"]);
  const keys = kernel.sysctls.map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
  assert.deepEqual(
    keys.filter((key) => key.endsWith("/arp_ignore") || key.endsWith("/accept_local")),
    [
      "net/ipv4/conf/all/arp_ignore",
      "net/ipv4/conf/k6t-eth0/accept_local",
      "net/ipv4/conf/k6t-b1f51a511f1/accept_local",
    ],
  );
});

test("what each NIC announces is announced", () => {
  const [name, iface, network] = red;
  const { announcements } = wired(
    ["default", { masquerade: {} }, pod],
    [name, { ...iface, macAddress: "02-AA-00-00-00-07" }, network],
  );
  assert.deepEqual(announcements, []);
  const onPod = wired(["default", { bridge: {}, macAddress: "02-AA-00-00-00-07" }, pod], red).announcements;
  assert.deepEqual(onPod, [{ device: "eth0-nic", address: "10.244.0.5", mac: "02:aa:00:00:00:07" }]);
});

test("two NICs that want the same link are refused by their names", () => {
  assert.throws(
    () => wired(["one", { bridge: {} }, pod], ["two", { masquerade: {} }, pod]),
    (thrown) =>
      isFault(thrown, "PB4001") &&
      thrown.place === "two" &&
      /"one" and "two" both want the link "tap0"/.test(thrown.message),
  );
});

test("a sysctl that two NICs want with different values is refused", () => {
  const nics = nicContexts({
    spec: {
      domain: { devices: { interfaces: ["one", "two"].map((name) => ({ name, slirp: {} })) } },
      networks: ["one", "two"].map((name) => ({ name, pod: {} })),
    },
    hostName: "guest",
  });
  const wanting = (value: string, index: number): NicWiring => {
    const nic = nics[index];
    assert.ok(nic !== undefined);
    const { kernel, ...rest } = bindingOf(nic.binding).wire(nic, typicalFacts);
    return { ...rest, kernel: { ...kernel, sysctls: [{ key: "net/ipv4/ip_forward", value }] } };
  };
  assert.deepEqual(mergeWirings("uid", ["1", "1"].map(wanting)).kernel.sysctls.length, 1);
  assert.throws(
    () => mergeWirings("uid", ["1", "0"].map(wanting)),
    (thrown) => isFault(thrown, "PB4001") && thrown.message.includes('the sysctl "net/ipv4/ip_forward"'),
  );
});

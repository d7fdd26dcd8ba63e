import assert from "node:assert/strict";
import { after, test } from "node:test";
import { deleteNetns, listNetns } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { isFault } from "../../src/model/fault.ts";
import { etherType } from "../../src/model/packets/ethernet.ts";
import { bridgeNeeds, type PodShape, PREFIX } from "../kernel/bridge-pod.ts";
import { testShape } from "../kernel/bridge-shape.ts";
import { testTraffic } from "../kernel/bridge-traffic.ts";
import { needs, type TestNeed } from "../needs.ts";
import { answer, attachedPod, bridgedPod, hearing, isReached, linksBecome, ping, site, wiringOf } from "./pods.ts";

after(() => {
  for (const name of listNetns(PREFIX)) deleteNetns(name);
});

const needed = [...bridgeNeeds, "cni", "busybox", "ipvlan", "dummy"] as const satisfies readonly TestNeed[];

const network = (mode: string, ...addresses: string[]) => ({
  cniVersion: "1.0.0",
  name: "lan",
  type: "ipvlan",
  master: "uplink",
  mode,
  ipam: { type: "static", addresses: addresses.map((address) => ({ address })) },
});

test("guests on ipvlan links of one link reach each other and the network, and are reached", async (t) => {
  if (!needs(t, ...needed)) return;
  const here = site(t);
  const { host, outside } = here;
  host.ip(outside, "address", "add", "10.98.0.1/24", "dev", "far");
  host.ip(outside, "address", "add", "fd10:98::1/64", "dev", "far", "nodad");
  const one = await bridgedPod(t, here, "one", network("l2", "10.98.0.2/24", "fd10:98::2/64"));
  const two = await bridgedPod(t, here, "two", network("l2", "10.98.0.3/24"));
  assert.deepEqual([one.link.kind, one.link.mac], ["ipvlan", two.link.mac]);
  assert.equal(one.wiring.nics[0]?.mac, one.link.mac);
  const uplink = readLinks(host.netns).links.find(({ name }) => name === "uplink");
  assert.equal(one.link.mac, uplink?.mac);

  await ping(one, "10.98.0.2", "10.98.0.1");
  await ping(two, "10.98.0.3", "10.98.0.1");
  await isReached(one, "10.98.0.2", outside);
  await isReached(one, "fd10:98::2", outside);
  await isReached(two, "10.98.0.3", outside);

  const heard = hearing(t, outside, "far");
  heard();
  await ping(one, "10.98.0.2", "10.98.0.3", () => answer(two, "10.98.0.3"));
  assert.ok(!heard().some(({ type }) => type === etherType.ipv4), "what is between the two stays between them");

  for (const pod of [one, two]) await pod.detach();
  await linksBecome(host.netns, ["uplink"]);
  // Nothing of theirs is held any more: a third gets the first's address.
  const three = await bridgedPod(t, here, "three", network("l2", "10.98.0.2/24"));
  await ping(three, "10.98.0.2", "10.98.0.1");
});

test("what no guest can have on ipvlan is refused: a layer 3 mode, and another MAC", async (t) => {
  if (!needs(t, ...needed)) return;
  const here = site(t);
  const iface = "spec.domain.devices.interfaces[0]";
  for (const mode of ["l3", "l3s"]) {
    const routed = await attachedPod(here, mode, network(mode, "10.98.0.2/24"));
    assert.throws(
      () => wiringOf(routed, { bridge: {} }),
      (thrown) => isFault(thrown, "PB4009") && thrown.place === `${iface}.bridge`,
      mode,
    );
    await here.host.removePod(mode);
  }
  const netns = await attachedPod(here, "one", network("l2", "10.98.0.2/24"));
  assert.throws(
    () => wiringOf(netns, { bridge: {}, macAddress: "02:00:00:00:00:99" }),
    (thrown) => isFault(thrown, "PB4009") && thrown.place === `${iface}.macAddress`,
  );
});

const shape: PodShape = {
  what: "an ipvlan, dual stack",
  made: [
    "link add low0 address 02:bb:00:00:00:04 mtu 1450 type veth peer name far0 mtu 1450 netns OUTSIDE",
    "link set low0 up",
    "link add eth0 link low0 type ipvlan mode l2",
    "link set eth0 up",
    "address add 10.98.0.2/24 dev eth0",
    "address add fd10:98::2/64 dev eth0 nodad",
    "route add default via 10.98.0.1",
    "route add default via fd10:98::1",
  ],
  sysctls: { "net/ipv6/conf/low0/disable_ipv6": "1" },
  outside: ["address add 10.98.0.1/24 dev far0"],
  nics: [[{ bridge: {} }, { pod: {} }]],
  links: ["low0", "eth0-nic", "tap0", "eth0"],
  needs: ["ipvlan", "dummy"],
};

testShape(shape);
testTraffic(shape, "10.98.0.2", "10.98.0.1");

// The built-in CNI plugin ovs against Open vSwitch's own daemons, with the datapath that needs no kernel module.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { addNetwork, checkNetwork, delNetwork } from "../../src/host/cni/network.ts";
import { within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { comesTo } from "../comes-to.ts";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";
import { startOpenVSwitch } from "../openvswitch.ts";
import { fault, leases, networkOf, testHost } from "./cni-hosts.ts";

test("the CNI plugin ovs", { timeout: 280_000 }, async (t) => {
  if (!needs(t, "root", "netns", "tun", "veth", "cni", "busybox", "openvswitch")) return;
  const host = testHost(t);
  const ovs = await startOpenVSwitch(t, host.netns);
  ovs.tool("ovs-vsctl", "add-br", "br1", "--", "set", "bridge", "br1", "datapath_type=netdev");
  const before = { host: host.dump(), ports: ovs.tool("ovs-vsctl", "show") };
  const pool = join(host.dataDir, "pool");
  const config = { cniVersion: "0.4.0", name: "vlans", type: "ovs", bridge: "br1", socket_file: `unix:${ovs.socket}` };
  const ipam = { type: "host-local", dataDir: pool, subnet: "10.88.0.0/24", routes: [{ dst: "10.99.0.0/16" }] };
  const attach = async (pod: string, more: object, args: readonly (readonly [string, string])[] = []) => {
    const netns = host.pod(pod);
    const network = networkOf({ ...config, ipam, ...more });
    const { result } = await addNetwork({ network, netns, containerId: pod, ifName: "net1", args }, host.cni);
    return { netns, result, address: result.ips[0]?.address.replace(/\/.*/, "") ?? "" };
  };
  const reaches = (netns: string, address: string): boolean =>
    within(netns, () => spawnSync("busybox", ["ping", "-c", "1", "-W", "2", address])).status === 0;

  const one = await attach("one", { vlan: 100, mtu: 1400 }, [
    ["IgnoreUnknown", "1"],
    ["MAC", "02:00:00:00:00:11"],
  ]);
  const two = await attach("two", { vlan: 100, mtu: 1400 });
  const other = await attach("other", { vlan: 200 });
  const bare = await attach("bare", { ipam: undefined, trunk: [{ id: 7 }, { minID: 20, maxID: 22 }] });

  await t.test("S2.33 S3.6 S3.20: the pod's link has its MAC, MTU, address and route", () => {
    const { links, routes } = readLinks(one.netns);
    const link = links.find(({ name }) => name === "net1");
    assert.deepEqual([link?.mac, link?.mtu, link?.up], ["02:00:00:00:00:11", 1400, true]);
    assert.ok(link?.addresses.some(({ cidr }) => cidr === `${one.address}/24`));
    assert.ok(routes.some(({ destination, gateway }) => destination === "10.99.0.0/16" && gateway === "10.88.0.1"));
    const inPod = one.result.interfaces.find(({ sandbox }) => sandbox === one.netns);
    assert.deepEqual([inPod?.name, inPod?.mac], ["net1", "02:00:00:00:00:11"]);
  });

  await t.test("S2.7: pods of one VLAN reach each other, those of another do not", async () => {
    await eventually("the other pod", () => Promise.resolve(reaches(one.netns, two.address)));
    assert.equal(reaches(one.netns, other.address), false);
  });

  await t.test("a trunk carries its VLANs, and its pod has no address", () => {
    const port = bare.result.interfaces[0]?.name ?? "";
    assert.equal(ovs.tool("ovs-vsctl", "get", "port", port, "trunks").trim(), "[7, 20, 21, 22]");
    assert.deepEqual(bare.result.ips, []);
  });

  await t.test("CHECK misses a port that somebody removed", async () => {
    const key = { containerId: "two", ifName: "net1" };
    assert.equal(await checkNetwork(key, host.cni), true);
    ovs.tool("ovs-vsctl", "del-port", "br1", two.result.interfaces[0]?.name ?? "");
    await fault(checkNetwork(key, host.cni), "PB3023");
  });

  await t.test("a bridge that is not there is told, and nothing of the attempt is left", async () => {
    const links = (): string[] => readLinks(host.netns).links.map(({ name }) => name);
    const linksBefore = links();
    const { message } = await fault(attach("lost", { bridge: "br7" }), "PB3027");
    assert.match(message, /no bridge "br7"/);
    assert.deepEqual(links(), linksBefore);
    const { place } = await fault(attach("mute", { socket_file: "/nowhere/db.sock" }), "PB3033");
    assert.equal(place, "/nowhere/db.sock");
    assert.match((await fault(attach("odd", { vlan: 5000 }), "PB3004")).message, /"vlan"/);
  });

  await t.test("DEL leaves nothing, a second time and after its namespace is gone as well", async () => {
    host.removePod("other");
    for (const containerId of ["one", "two", "other", "bare"]) {
      assert.equal(await delNetwork({ containerId, ifName: "net1" }, host.cni), true);
      assert.equal(await delNetwork({ containerId, ifName: "net1" }, host.cni), false);
    }
    assert.equal(ovs.tool("ovs-vsctl", "show"), before.ports);
    assert.deepEqual(leases(join(pool, "vlans")), []);
    const links = before.host.links.map(({ name }) => name).filter((name) => name !== "lo");
    await comesTo(links, () => readLinks(host.netns).links.map(({ name }) => name));
  });
});

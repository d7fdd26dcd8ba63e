import assert from "node:assert/strict";
import { test } from "node:test";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { bridgeNeeds } from "../kernel/bridge-pod.ts";
import { needs } from "../needs.ts";
import { startOpenVSwitch } from "../openvswitch.ts";
import { answer, bridgedPod, hearing, isReached, linksBecome, ping, site, vlanOutside } from "./pods.ts";

const PEER = "10.100.0.1";

test("guests on VLANs of a bridge of Open vSwitch's kernel datapath", async (t) => {
  if (!needs(t, ...bridgeNeeds, "cni", "busybox", "vlan", "dummy", "openvswitch", "openvswitchDatapath")) return;
  const here = site(t);
  const { host, outside } = here;
  const ovs = await startOpenVSwitch(t, host.netns);
  ovs.tool("ovs-vsctl", "add-br", "br1", "--", "add-port", "br1", "uplink");
  assert.match(ovs.tool("ovs-appctl", "dpctl/show"), /^system@ovs-system:/);
  const [own, other] = [vlanOutside(here, 100, `${PEER}/24`), vlanOutside(here, 200, "10.200.0.1/24")];
  const [onOwn, onOther] = [hearing(t, outside, own), hearing(t, outside, other)];
  const attached = (name: string, vlan: number, address: string) =>
    bridgedPod(t, here, name, {
      cniVersion: "0.4.0",
      name: `lan${vlan}`,
      type: "ovs",
      bridge: "br1",
      vlan,
      socket_file: `unix:${ovs.socket}`,
      ipam: { type: "static", addresses: [{ address: `${address}/24` }] },
    });
  const linksBefore = readLinks(host.netns).links.map(({ name }) => name);
  const one = await attached("one", 100, "10.100.0.2");
  const two = await attached("two", 100, "10.100.0.3");
  const apart = await attached("apart", 200, "10.100.0.3");

  await ping(one, "10.100.0.2", PEER);
  await isReached(one, "10.100.0.2", outside);
  await ping(one, "10.100.0.2", "10.100.0.3", () => answer(two, "10.100.0.3"));
  const mac = one.wiring.nics[0]?.mac;
  assert.ok(onOwn().some(({ from }) => from === mac));
  assert.ok(!onOther().some(({ from }) => from === mac));
  apart.guest.listen();
  assert.ok(!apart.guest.heard.some(({ from }) => from === mac));
  // The daemon decides of a flow's first frame; the kernel has forwarded the others by itself.
  assert.match(ovs.tool("ovs-appctl", "dpctl/dump-flows"), new RegExp(`eth\\(src=${mac}`));

  for (const pod of [one, two, apart]) await pod.detach();
  assert.deepEqual(ovs.tool("ovs-vsctl", "list-ports", "br1").trim(), "uplink");
  await linksBecome(host.netns, linksBefore);
});

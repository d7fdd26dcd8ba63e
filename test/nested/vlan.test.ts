import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { type TestContext, test } from "node:test";
import { within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { bridgeNeeds } from "../kernel/bridge-pod.ts";
import { needs } from "../needs.ts";
import { bridgedPod, hearing, isReached, linksBecome, ping, type Site, site, vlanOutside } from "./pods.ts";

const [OWN, PEER, ID, OTHER_ID] = ["10.100.0.2", "10.100.0.1", 100, 200];
const ipam = { type: "static", addresses: [{ address: `${OWN}/24` }] };

function able(t: TestContext): boolean {
  return needs(t, ...bridgeNeeds, "cni", "busybox", "vlan", "dummy");
}

/** A bridge on the host that keeps VLANs apart; the uplink carries both, tagged. */
function trunk({ host }: Site): void {
  host.ip(host.netns, "link", "add", "lan0", "type", "bridge", "vlan_filtering", "1");
  host.ip(host.netns, "link", "set", "lan0", "up");
  host.ip(host.netns, "link", "set", "uplink", "master", "lan0");
  for (const id of [ID, OTHER_ID]) {
    const run = within(host.netns, () => spawnSync("bridge", ["vlan", "add", "vid", `${id}`, "dev", "uplink"]));
    assert.equal(run.status, 0, run.stderr.toString());
  }
}

/** The guest is on the one VLAN, both ways, and the other hears nothing of it; DEL leaves nothing. */
async function isOnVlan(t: TestContext, here: Site, config: object): Promise<void> {
  const { host, outside } = here;
  const [own, other] = [vlanOutside(here, ID, `${PEER}/24`), vlanOutside(here, OTHER_ID, "10.200.0.1/24")];
  const [onOwn, onOther] = [hearing(t, outside, own), hearing(t, outside, other)];
  const linksBefore = readLinks(host.netns).links.map(({ name }) => name);
  const pod = await bridgedPod(t, here, "one", config);
  const mac = pod.wiring.nics[0]?.mac;
  await ping(pod, OWN, PEER);
  await isReached(pod, OWN, outside);
  assert.ok(onOwn().some(({ from }) => from === mac));
  assert.ok(!onOther().some(({ from }) => from === mac));
  await pod.detach();
  await linksBecome(host.netns, linksBefore);
}

test("the frames of a guest on a network of the plugin bridge with a vlan are tagged at the uplink", async (t) => {
  if (!able(t)) return;
  const here = site(t);
  trunk(here);
  await isOnVlan(t, here, { cniVersion: "0.3.1", name: "lan", type: "bridge", bridge: "lan0", vlan: ID, ipam });
});

test("a guest takes the place of a link of the plugin vlan", async (t) => {
  if (!able(t)) return;
  const here = site(t);
  await isOnVlan(t, here, { cniVersion: "0.3.1", name: "lan", type: "vlan", master: "uplink", vlanId: ID, ipam });
});

test("two guests on VLANs of one bridge do not hear each other", async (t) => {
  if (!able(t)) return;
  const here = site(t);
  trunk(here);
  vlanOutside(here, ID, `${PEER}/24`);
  const attached = (name: string, vlan: number) =>
    bridgedPod(t, here, name, { cniVersion: "0.3.1", name: `lan${vlan}`, type: "bridge", bridge: "lan0", vlan, ipam });
  const [one, other] = [await attached("one", ID), await attached("other", OTHER_ID)];
  const mac = one.wiring.nics[0]?.mac;
  await ping(one, OWN, PEER);
  other.guest.listen();
  assert.ok(!other.guest.heard.some(({ from }) => from === mac));
});

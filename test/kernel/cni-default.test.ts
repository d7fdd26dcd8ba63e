import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { podNetworkOf } from "../../src/host/cni/conf-dir.ts";
import {
  defaultConfDir,
  defaultConflist,
  ensureDefaultNetwork,
  removeDefaultNetwork,
} from "../../src/host/cni/default-network.ts";
import { addNetwork, checkNetwork, delNetwork } from "../../src/host/cni/network.ts";
import { networkStatusOf } from "../../src/host/cni/network-status.ts";
import { within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { comesTo } from "../comes-to.ts";
import { needs } from "../needs.ts";
import { leases, networkOf, testHost } from "./cni-hosts.ts";

for (const [families, ...kinds] of [
  ["dual", 4, 6],
  ["ipv4", 4],
  ["ipv6", 6],
] as const) {
  test(`the embedded network, ${families}: two pods come and go`, async (t) => {
    if (!needs(t, "root", "netns", "cni", "bridge", "nft")) return;
    const host = testHost(t);
    const before = host.dump();
    const network = networkOf(defaultConflist({ dataDir: host.dataDir, families }));
    const bridge = String(network.plugins[0]?.config["bridge"]);
    const [one, two] = [host.pod("one"), host.pod("two")];
    const added = await addNetwork({ network, netns: one, containerId: "one", ifName: "eth0" }, host.cni);
    const mac = host.dump().links.find(({ name }) => name === bridge)?.mac;
    await addNetwork({ network, netns: two, containerId: "two", ifName: "eth0" }, host.cni);
    assert.equal(host.dump().links.find(({ name }) => name === bridge)?.mac, mac);

    const { links, routes } = readLinks(one);
    const addresses = links[0]?.addresses.filter(({ scope }) => scope === "global").map(({ cidr }) => cidr);
    assert.deepEqual(
      addresses,
      added.result.ips.map(({ address }) => address),
    );
    assert.deepEqual(
      added.result.ips.map(({ address }) => (address.includes(":") ? 6 : 4)),
      kinds,
    );
    assert.deepEqual(
      routes.filter(({ destination }) => destination.endsWith("/0")).map(({ family, gateway }) => [family, gateway]),
      added.result.ips.map(({ gateway }, index) => [kinds[index], gateway]),
    );
    assert.deepEqual(networkStatusOf(added, { default: true }), {
      name: "patchbay",
      interface: "eth0",
      ips: added.result.ips.map(({ address }) => address.replace(/\/.*/, "")),
      mac: links[0]?.mac,
      default: true,
      dns: {},
      gateway: added.result.ips.map(({ gateway }) => gateway),
    });
    // Usable at once: nothing waits for duplicate address detection, and later links have it again.
    const IFA_F_TENTATIVE = 0x40;
    assert.ok(
      host
        .dump()
        .addresses.every(
          ({ link, scope, flags }) => link !== bridge || scope !== "global" || (flags & IFA_F_TENTATIVE) === 0,
        ),
    );
    assert.equal(within(one, () => readFileSync("/proc/sys/net/ipv6/conf/default/accept_dad", "utf8")).trim(), "1");

    assert.equal(await checkNetwork(added, host.cni), true);
    assert.equal(leases(join(host.dataDir, "cni/host-local/patchbay")).length, 2 * kinds.length);
    assert.equal(await removeDefaultNetworkOf(host), false);
    await delNetwork(added, host.cni);
    assert.ok(host.dump().links.some(({ name }) => name === bridge));
    await delNetwork({ containerId: "two", ifName: "eth0" }, host.cni);
    await comesTo(before, host.dump);
    assert.deepEqual(leases(join(host.dataDir, "cni/host-local/patchbay")), []);
  });
}

/** As the daemon does it: by the configuration in its folder. */
async function removeDefaultNetworkOf(host: ReturnType<typeof testHost>): Promise<boolean> {
  ensureDefaultNetwork({ dataDir: host.dataDir });
  return removeDefaultNetwork(host.dataDir, host.cni.cacheDir, host.netns);
}

test("the embedded network's configuration is written once and kept", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "nft")) return;
  const host = testHost(t);
  const file = ensureDefaultNetwork({ dataDir: host.dataDir });
  assert.equal(podNetworkOf(defaultConfDir(host.dataDir)).file, file);
  const text = readFileSync(file, "utf8");
  ensureDefaultNetwork({ dataDir: host.dataDir, families: "ipv4", hostRoutes: ["10.0.0.0/8"] });
  assert.equal(readFileSync(file, "utf8"), text);
  const before = host.dump();
  const { network } = podNetworkOf(defaultConfDir(host.dataDir));
  const key = { containerId: "pod1", ifName: "eth0" };
  await addNetwork({ network, netns: host.pod("pod"), ...key }, host.cni);
  host.removePod("pod");
  await delNetwork(key, host.cni);
  assert.equal(await removeDefaultNetwork(host.dataDir, host.cni.cacheDir, host.netns), true);
  await comesTo(before, host.dump);
});

test("the host goes on accepting router advertisements", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "nft", "veth")) return;
  const host = testHost(t);
  host.ip(host.netns, "link", "add", "up0", "type", "veth", "peer", "name", "up1");
  const read = (key: string): string =>
    within(host.netns, () => readFileSync(`/proc/sys/net/ipv6/conf/${key}`, "utf8")).trim();
  within(host.netns, () => writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "0"));
  within(host.netns, () => writeFileSync("/proc/sys/net/ipv6/conf/up1/accept_ra", "0"));
  assert.equal(read("up0/accept_ra"), "1");
  const network = networkOf(defaultConflist({ dataDir: host.dataDir }));
  await addNetwork({ network, netns: host.pod("pod"), containerId: "pod1", ifName: "eth0" }, host.cni);
  assert.equal(read("all/forwarding"), "1");
  assert.equal(read("up0/accept_ra"), "2");
  assert.equal(read("up1/accept_ra"), "0");
});

test("many pods at once, while others leave", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "nft")) return;
  const host = testHost(t);
  const before = host.dump();
  const network = networkOf(defaultConflist({ dataDir: host.dataDir }));
  const cycle = async (name: string): Promise<void> => {
    const netns = host.pod(name);
    for (let round = 0; round < 2; round += 1) {
      const added = await addNetwork({ network, netns, containerId: name, ifName: "eth0" }, host.cni);
      assert.equal(await checkNetwork(added, host.cni), true);
      await delNetwork(added, host.cni);
    }
  };
  await Promise.all(["a", "b", "c", "d"].map(cycle));
  await comesTo(before, host.dump);
});

/** A server on port 7000 in a namespace that tells everybody his address. */
async function whoConnects(netns: string, address: string): Promise<ChildProcess> {
  const program = `require("node:net").createServer((s) => { s.end(s.remoteAddress); })
    .listen(7000, ${JSON.stringify(address)}, () => console.log("ready"))`;
  const child = within(netns, () => spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] }));
  assert.ok(child.stdout !== null);
  await once(child.stdout, "data");
  return child;
}

async function ask(netns: string, address: string): Promise<string> {
  const program = `require("node:net").connect(7000, ${JSON.stringify(address)}).on("data", (d) => process.stdout.write(d)).setTimeout(60000, () => process.exit(1))`;
  const child = within(netns, () => spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] }));
  let said = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  await once(child, "close");
  return said;
}

test("what leaves the embedded network has the host's address; what stays has the pod's", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "nft", "veth")) return;
  const host = testHost(t);
  const outside = host.pod("outside");
  host.ip(
    host.netns,
    "link",
    "add",
    "up0",
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    outside.replace(/.*\//, ""),
  );
  for (const [netns, name, number] of [
    [host.netns, "up0", 1],
    [outside, "eth0", 2],
  ] as const) {
    host.ip(netns, "address", "add", `192.0.2.${number}/24`, "dev", name);
    host.ip(netns, "address", "add", `2001:db8::${number}/64`, "dev", name, "nodad");
    host.ip(netns, "link", "set", name, "up");
  }
  const network = networkOf(defaultConflist({ dataDir: host.dataDir }));
  const [one, two] = [host.pod("one"), host.pod("two")];
  const first = await addNetwork({ network, netns: one, containerId: "one", ifName: "eth0" }, host.cni);
  const second = await addNetwork({ network, netns: two, containerId: "two", ifName: "eth0" }, host.cni);
  const address = (ips: typeof first.result.ips, index: number): string =>
    ips[index]?.address.replace(/\/.*/, "") ?? "";
  const inside = [0, 1].map((index) => [address(second.result.ips, index), address(first.result.ips, index)] as const);
  for (const [netns, server, client] of [
    [outside, "192.0.2.2", "192.0.2.1"],
    [outside, "2001:db8::2", "2001:db8::1"],
    ...inside.map((pair) => [two, ...pair] as const),
  ] as const) {
    const child = await whoConnects(netns, server);
    try {
      assert.equal(await ask(one, server), client);
    } finally {
      child.kill("SIGKILL");
    }
  }
});

test("a port of the host is mapped to the pod", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "nft", "veth")) return;
  const host = testHost(t);
  const outside = host.pod("outside");
  host.ip(
    host.netns,
    "link",
    "add",
    "up0",
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    outside.replace(/.*\//, ""),
  );
  host.ip(host.netns, "address", "add", "192.0.2.1/24", "dev", "up0");
  host.ip(outside, "address", "add", "192.0.2.2/24", "dev", "eth0");
  host.ip(host.netns, "link", "set", "up0", "up");
  host.ip(outside, "link", "set", "eth0", "up");
  const network = networkOf(defaultConflist({ dataDir: host.dataDir }));
  const pod = host.pod("pod");
  const runtimeConfig = { portMappings: [{ hostPort: 7000, containerPort: 7000, protocol: "tcp" }] };
  const added = await addNetwork({ network, netns: pod, containerId: "pod1", ifName: "eth0", runtimeConfig }, host.cni);
  const child = await whoConnects(pod, "0.0.0.0");
  try {
    assert.equal(await ask(outside, "192.0.2.1"), "192.0.2.2");
    await delNetwork(added, host.cni);
  } finally {
    child.kill("SIGKILL");
  }
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { addNetwork, cachedNetwork, checkNetwork, delNetwork, listCached } from "../../src/host/cni/network.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { comesTo } from "../comes-to.ts";
import { needs } from "../needs.ts";
import { fault, leases, networkOf, testHost } from "./cni-hosts.ts";

const hostLocal = (dataDir: string, ...subnets: string[]) => ({
  type: "host-local",
  dataDir,
  ranges: subnets.map((subnet) => [{ subnet }]),
  routes: subnets.map((subnet) => ({ dst: subnet.includes(":") ? "::/0" : "0.0.0.0/0" })),
});

for (const cniVersion of ["0.2.0", "0.3.1", "0.4.0", "1.0.0"]) {
  test(`ptp and host-local in CNI ${cniVersion}`, async (t) => {
    if (!needs(t, "root", "netns", "cni")) return;
    const host = testHost(t);
    const before = host.dump();
    const pool = join(host.dataDir, "pool");
    const network = networkOf({
      cniVersion,
      name: "p2p",
      type: "ptp",
      mtu: 1400,
      ipam: hostLocal(pool, "10.77.0.0/24"),
    });
    const netns = host.pod("pod");
    const key = { containerId: "pod1", ifName: "eth0" };
    const { result } = await addNetwork({ network, netns, ...key }, host.cni);
    const link = readLinks(netns).links.find(({ name }) => name === "eth0");
    assert.equal(link?.mtu, 1400);
    assert.deepEqual(
      link?.addresses.filter(({ scope }) => scope === "global").map(({ cidr }) => cidr),
      result.ips.map(({ address }) => address),
    );
    assert.equal(await checkNetwork(key, host.cni), cniVersion === "0.4.0" || cniVersion === "1.0.0");
    assert.deepEqual(leases(join(pool, "p2p")), ["10.77.0.2"]);
    assert.equal(await delNetwork(key, host.cni), true);
    assert.equal(await delNetwork(key, host.cni), false);
    assert.deepEqual(leases(join(pool, "p2p")), []);
    await comesTo(before, host.dump);
    assert.deepEqual(
      readLinks(netns).links.map(({ name }) => name),
      [],
    );
  });
}

test("S3.5: disableContainerInterface of a bridge takes effect, and no address goes with it", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge")) return;
  const host = testHost(t);
  const netns = host.pod("pod");
  const config = { cniVersion: "0.3.1", name: "l2", type: "bridge", bridge: "l2br" };
  const upOf = async (more: object, ifName: string): Promise<boolean | undefined> => {
    await addNetwork({ network: networkOf({ ...config, ...more }), netns, containerId: "pod1", ifName }, host.cni);
    return readLinks(netns).links.find(({ name }) => name === ifName)?.up;
  };
  assert.equal(await upOf({}, "net1"), true);
  assert.equal(await upOf({ disableContainerInterface: true, macspoofchk: true }, "net2"), false);
  const ipam = hostLocal(join(host.dataDir, "pool"), "10.77.0.0/24");
  await fault(upOf({ disableContainerInterface: true, ipam }, "net3"), "PB3012");
  for (const ifName of ["net1", "net2"]) await delNetwork({ containerId: "pod1", ifName }, host.cni);
});

test("macvlan and static", async (t) => {
  if (!needs(t, "root", "netns", "cni", "macvtap", "veth")) return;
  const host = testHost(t);
  host.ip(host.netns, "link", "add", "up0", "type", "veth", "peer", "name", "up1");
  for (const name of ["up0", "up1"]) host.ip(host.netns, "link", "set", name, "up");
  const network = networkOf({
    cniVersion: "1.0.0",
    name: "lan",
    plugins: [
      {
        type: "macvlan",
        master: "up0",
        mode: "bridge",
        capabilities: { mac: true },
        ipam: { type: "static", addresses: [{ address: "10.78.0.5/24" }, { address: "fd78::5/64" }] },
      },
      { type: "tuning", mtu: 1300 },
    ],
  });
  const netns = host.pod("pod");
  const key = { containerId: "pod1", ifName: "net1" };
  await addNetwork({ network, netns, ...key, runtimeConfig: { mac: "02:00:00:00:00:99" } }, host.cni);
  const [link] = readLinks(netns).links;
  assert.deepEqual([link?.name, link?.kind, link?.mac, link?.mtu], ["net1", "macvlan", "02:00:00:00:00:99", 1300]);
  assert.deepEqual(
    link?.addresses.filter(({ scope }) => scope === "global").map(({ cidr }) => cidr),
    ["10.78.0.5/24", "fd78::5/64"],
  );
  assert.equal(await checkNetwork(key, host.cni), true);
  host.ip(netns, "address", "delete", "10.78.0.5/24", "dev", "net1");
  await fault(checkNetwork(key, host.cni), "PB3023");
  await delNetwork(key, host.cni);
  assert.deepEqual(readLinks(netns).links, []);
});

test("a pool without a free address", async (t) => {
  if (!needs(t, "root", "netns", "cni")) return;
  const host = testHost(t);
  const pool = join(host.dataDir, "pool");
  const network = networkOf({ cniVersion: "1.0.0", name: "tiny", type: "ptp", ipam: hostLocal(pool, "10.79.0.0/30") });
  await addNetwork({ network, netns: host.pod("a"), containerId: "a", ifName: "eth0" }, host.cni);
  const before = host.dump();
  const second = { network, netns: host.pod("b"), containerId: "b", ifName: "eth0" };
  const full = await fault(addNetwork(second, host.cni), "PB3018");
  assert.equal(
    full.message,
    'The network "tiny" has no free address: the pool 10.79.0.1-10.79.0.2 of 2 addresses, the gateway\'s included, is taken.',
  );
  assert.ok(full.cure?.includes(join(pool, "tiny")), full.cure);
  await comesTo(before, host.dump);
  assert.deepEqual(leases(join(pool, "tiny")), ["10.79.0.2"]);
  assert.deepEqual(
    listCached(host.cni.cacheDir).attachments.map(({ containerId }) => containerId),
    ["a"],
  );
  await delNetwork({ containerId: "a", ifName: "eth0" }, host.cni);
  await addNetwork(second, host.cni);
});

test("a version that the plugin does not speak, a delegate and a link that are not there", async (t) => {
  if (!needs(t, "root", "netns", "cni")) return;
  const host = testHost(t);
  const where = { netns: host.pod("pod"), containerId: "pod1", ifName: "eth0" };
  const young = networkOf({ cniVersion: "1.1.0", name: "net", type: "ptp", ipam: { type: "host-local" } });
  const { message } = await fault(addNetwork({ network: young, ...where }, host.cni), "PB3011");
  assert.match(message, /config is "1\.1\.0"/);
  const lost = networkOf({ cniVersion: "1.0.0", name: "net", type: "ptp", ipam: { type: "host-locl" } });
  await fault(addNetwork({ network: lost, ...where }, host.cni), "PB3006");
  const wrong = networkOf({ cniVersion: "1.0.0", name: "net", type: "macvlan", master: "nosuch0", ipam: {} });
  const missing = await fault(addNetwork({ network: wrong, ...where }, host.cni), "PB3027");
  assert.match(missing.message, /nosuch0/);
  assert.deepEqual(listCached(host.cni.cacheDir).attachments, []);
});

test("the namespace is gone before DEL", async (t) => {
  if (!needs(t, "root", "netns", "cni")) return;
  const host = testHost(t);
  const pool = join(host.dataDir, "pool");
  const network = networkOf({ cniVersion: "1.0.0", name: "p2p", type: "ptp", ipam: hostLocal(pool, "10.77.0.0/24") });
  const netns = host.pod("pod");
  const key = { containerId: "pod1", ifName: "eth0" };
  await addNetwork({ network, netns, ...key }, host.cni);
  host.removePod("pod");
  // What a reboot leaves: the name, as a plain file.
  writeFileSync(netns, "");
  assert.equal(await delNetwork(key, host.cni), true);
  assert.deepEqual(leases(join(pool, "p2p")), []);
});

test("what bridge and ptp masquerade and check for a pod goes with it, though its namespace went before DEL", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge")) return;
  const host = testHost(t);
  const pool = join(host.dataDir, "pool");
  const on = (...subnets: string[]) => ({ ipam: hostLocal(pool, ...subnets) });
  const networks = [
    {
      name: "br",
      type: "bridge",
      bridge: "masq0",
      isGateway: true,
      macspoofchk: true,
      ...on("10.77.0.0/24", "fd77::/64"),
    },
    { name: "p2p", type: "ptp", ...on("10.78.0.0/24", "fd78::/64") },
  ].map((more) => networkOf({ cniVersion: "1.0.0", ipMasq: true, ...more }));
  const netns = host.pod("pod");
  const rules = (): string =>
    JSON.stringify(host.dump().tables)
      .match(/CNI-[0-9a-f]{24}|cni-br-iface-\w+/g)
      ?.join() ?? "";
  for (const [index, network] of networks.entries()) {
    await addNetwork({ network, netns, containerId: "pod1", ifName: `net${index}` }, host.cni);
    const other = host.pod(`other${index}`);
    await addNetwork({ network, netns: other, containerId: `other${index}`, ifName: "net0" }, host.cni);
  }
  const both = rules();
  host.removePod("pod");
  for (const [index] of networks.entries())
    assert.equal(await delNetwork({ containerId: "pod1", ifName: `net${index}` }, host.cni), true);
  assert.equal(existsSync(netns), false);
  assert.notEqual(rules(), "");
  assert.notEqual(rules(), both);
  for (const [index] of networks.entries()) {
    host.removePod(`other${index}`);
    assert.equal(await delNetwork({ containerId: `other${index}`, ifName: "net0" }, host.cni), true);
  }
  assert.equal(rules(), "");
  assert.deepEqual(leases(join(pool, "br")), []);
});

test("a daemon that dies between two plugins of an ADD", async (t) => {
  if (!needs(t, "root", "netns", "cni")) return;
  const host = testHost(t);
  const before = host.dump();
  const bin = join(host.dataDir, "bin");
  mkdirSync(bin);
  const started = join(host.dataDir, "started");
  writeFileSync(
    join(bin, "stall"),
    `#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\necho $$ > ${started}\nexec sleep 1000\n`,
  );
  chmodSync(join(bin, "stall"), 0o755);
  const pool = join(host.dataDir, "pool");
  const netns = host.pod("pod");
  const key = { containerId: "pod1", ifName: "eth0" };
  const config = {
    cniVersion: "1.0.0",
    name: "p2p",
    plugins: [{ type: "ptp", ipam: hostLocal(pool, "10.77.0.0/24") }, { type: "stall" }],
  };
  const cni = { ...host.cni, binDirs: ["/usr/lib/cni", bin] };
  const source = new URL("../../src/", import.meta.url).href;
  const daemon = spawn(
    process.execPath,
    [
      "--input-type=module-typescript",
      "-e",
      `
    import { addNetwork } from "${source}host/cni/network.ts";
    import { parseCniObject } from "${source}model/networks/cni-config.ts";
    const { network } = parseCniObject(${JSON.stringify(config)});
    await addNetwork({ network, netns: ${JSON.stringify(netns)}, ...${JSON.stringify(key)} }, ${JSON.stringify(cni)});
  `,
    ],
    { stdio: "inherit" },
  );
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  while (!existsSync(started) || readFileSync(started, "utf8") === "") {
    assert.equal(daemon.exitCode, null);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  daemon.kill("SIGKILL");
  await ended;
  process.kill(Number(readFileSync(started, "utf8")), "SIGKILL");
  assert.deepEqual(leases(join(pool, "p2p")), ["10.77.0.2"]);
  assert.deepEqual(listCached(cni.cacheDir).attachments, [{ ...key, network: "p2p", netns, finished: false }]);
  assert.equal(cachedNetwork(key, cni.cacheDir), undefined);
  assert.equal(await delNetwork(key, cni), true);
  assert.deepEqual(leases(join(pool, "p2p")), []);
  assert.deepEqual(readLinks(netns).links, []);
  await comesTo(before, host.dump);
});

test("a later plugin's failure leaves the host as it was", async (t) => {
  if (!needs(t, "root", "netns", "cni")) return;
  const host = testHost(t);
  const before = host.dump();
  const bin = join(host.dataDir, "bin");
  mkdirSync(bin);
  writeFileSync(
    join(bin, "sour"),
    `#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\necho '{"code":7,"msg":"no"}'\nexit 1\n`,
  );
  chmodSync(join(bin, "sour"), 0o755);
  const pool = join(host.dataDir, "pool");
  const netns = host.pod("pod");
  const network = networkOf({
    cniVersion: "1.0.0",
    name: "p2p",
    plugins: [{ type: "ptp", ipam: hostLocal(pool, "10.77.0.0/24", "fd77::/64") }, { type: "sour" }],
  });
  const cni = { ...host.cni, binDirs: ["/usr/lib/cni", bin] };
  await fault(addNetwork({ network, netns, containerId: "pod1", ifName: "eth0" }, cni), "PB3012");
  await comesTo(before, host.dump);
  assert.deepEqual(readLinks(netns).links, []);
  assert.deepEqual(leases(join(pool, "p2p")), []);
});

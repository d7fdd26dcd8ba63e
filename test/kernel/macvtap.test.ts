// The built-in CNI plugin macvtap, the fds of its links, and the accounting of the devices that pods claim.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeMacvtapDevice, removeMacvtapDevice } from "../../src/host/cni/macvtap-device.ts";
import { addNetwork, checkNetwork, delNetwork } from "../../src/host/cni/network.ts";
import { openMacvtap } from "../../src/host/linux/macvtap.ts";
import { OWN_NETNS } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { macvtapPools } from "../../src/model/pods/macvtap-devices.ts";
import { makeDeviceResources } from "../../src/node/device-resources.ts";
import { openPodRecords, type PodRecord } from "../../src/node/records.ts";
import { standalonePods } from "../../src/node/standalone-pods.ts";
import { comesTo } from "../comes-to.ts";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";
import { fault, networkOf, testHost } from "./cni-hosts.ts";

const MAC = "02:00:00:00:00:21";
const BASE = { cniVersion: "1.0.0", name: "data", type: "macvtap", lowerDevice: "low0", deviceID: "dataMvp0" };
const linkOf = (netns: string, wanted: string) => readLinks(netns).links.find(({ name }) => name === wanted);

test("the CNI plugin macvtap", async (t) => {
  if (!needs(t, "root", "netns", "veth", "macvtap")) return;
  const host = testHost(t);
  host.ip(host.netns, "link", "add", "low0", "mtu", "1450", "type", "veth", "peer", "name", "low1");
  for (const link of ["low0", "low1"]) host.ip(host.netns, "link", "set", link, "addrgenmode", "none", "up");
  // Which the kernel gives them once they carry.
  await eventually("the links' routes", async () => {
    const { routes } = host.dump();
    return ["low0", "low1"].every((link) => routes.some((route) => route.includes(`ff00::/8 dev ${link}`)));
  });
  const before = host.dump();
  const attach = (pod: string, more: object = {}, args: readonly (readonly [string, string])[] = []) =>
    addNetwork(
      { network: networkOf({ ...BASE, ...more }), netns: host.pod(pod), containerId: pod, ifName: "net1", args },
      host.cni,
    );

  const { netns, result } = await attach("one", { mode: "private", mtu: 1400 }, [["MAC", MAC]]);
  await t.test("makes the link in the pod alone, with its MAC, MTU and mode, and says so", () => {
    const link = linkOf(netns, "net1");
    assert.deepEqual([link?.kind, link?.mac, link?.mtu, link?.up], ["macvtap", MAC, 1400, true]);
    assert.deepEqual(result.interfaces, [{ name: "net1", mac: MAC, sandbox: netns }]);
    assert.ok(host.dump().links.every(({ kind }) => kind !== "macvtap"));
  });

  await t.test("takes the MTU of the link below where none is asked for", async () => {
    const two = await attach("two");
    assert.equal(linkOf(two.netns, "net1")?.mtu, 1450);
  });

  await t.test("its links are opened as often as there are queues, and stay when closed", () => {
    const fds = openMacvtap(netns, "net1", 3);
    assert.equal(fds.length, 3);
    for (const fd of fds) assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"), /^iff:|^pos:/m);
    for (const fd of fds) closeSync(fd);
    assert.equal(linkOf(netns, "net1")?.kind, "macvtap");
    assert.throws(() => openMacvtap(netns, "net7", 1), /PB4002|is not there/);
    assert.throws(() => openMacvtap(host.netns, "low0", 1), /macvtap "low0" is none/);
    const mounts = readFileSync("/proc/self/mounts", "utf8");
    assert.doesNotMatch(mounts, /proc\/self\/fd/);
  });

  await t.test("CHECK misses a link that is gone, and one that has another MAC", async () => {
    const key = { containerId: "one", ifName: "net1" };
    assert.equal(await checkNetwork(key, host.cni), true);
    host.ip(netns, "link", "set", "net1", "address", "02:00:00:00:00:22");
    assert.match((await fault(checkNetwork(key, host.cni), "PB3023")).message, /MAC 02:00:00:00:00:22/);
    host.ip(netns, "link", "delete", "net1");
    assert.match((await fault(checkNetwork(key, host.cni), "PB3023")).message, /misses the pod's link net1/);
  });

  await t.test("names what is in the way, and leaves nothing of the attempt", async () => {
    const gone = await fault(attach("gone", { lowerDevice: "low7" }), "PB3027");
    assert.match(`${gone.message} ${gone.cure}`, /no link "low7".*DP_MACVTAP_CONF/);
    assert.match(
      (await fault(attach("large", { mtu: 9000 }), "PB3012")).message,
      /MTU of 9000.*low0 below it has 1450/,
    );
    assert.match((await fault(attach("odd", { mode: "brigde" }), "PB3004")).message, /the mode "brigde"/);
    const unclaimed = await fault(attach("bare", { lowerDevice: undefined, deviceID: undefined }), "PB3004");
    assert.match(unclaimed.cure ?? "", /k8s\.v1\.cni\.cncf\.io\/resourceName/);
    const mac = (wanted: string) => [["MAC", wanted]] as const;
    await attach("first", {}, mac(MAC));
    const taken = await fault(attach("taken", {}, mac(MAC)), "PB3000");
    assert.match(`${taken.message} ${taken.cure}`, /MAC 02:00:00:00:00:21 is that of another link on it.*macAddress/);
    await delNetwork({ containerId: "first", ifName: "net1" }, host.cni);
    const lowers = linkOf(host.netns, "low0")?.mac ?? "";
    assert.match((await fault(attach("lowers", {}, mac(lowers)), "PB3000")).message, /is that of low0/);
    const many = await fault(attach("many", {}, mac("03:00:00:00:00:21")), "PB3000");
    assert.match(`${many.message} ${many.cure}`, /03:00:00:00:00:21 is none that a link can have.*unicast/);
    assert.match((await fault(attach("small", { mtu: 20 }), "PB3000")).cure ?? "", /another mtu/);
    host.ip(host.netns, "link", "set", "low0", "down");
    assert.match((await fault(attach("down"), "PB3000")).cure ?? "", /ip link set low0 up/);
    host.ip(host.netns, "link", "set", "low0", "up");
  });

  await t.test("DEL leaves nothing, a second time and after its namespace is gone as well", async () => {
    const key = (containerId: string) => ({ containerId, ifName: "net1" });
    assert.equal(await delNetwork(key("one"), host.cni), true);
    assert.equal(await delNetwork(key("one"), host.cni), false);
    host.removePod("two");
    assert.equal(await delNetwork(key("two"), host.cni), true);
    await comesTo(before, host.dump);
  });
});

test("pods claim devices before CNI, in their records, and give them back", async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "veth", "macvtap")) return;
  const host = testHost(t);
  const folder = join(host.dataDir, "pods");
  const confDir = join(host.dataDir, "net.d");
  mkdirSync(confDir);
  const main = { cniVersion: "1.0.0", name: "main", type: "loopback" };
  writeFileSync(join(confDir, "10-main.conf"), JSON.stringify(main));
  const lower = [{ name: "low0", kind: "veth" }];
  const pools = macvtapPools([{ name: "data", lowerDevice: "low0", mode: "bridge", capacity: 2 }], lower);
  const seen: string[] = [];
  const source = {
    owns: () => true,
    pools: () => pools,
    prepare: ({ id }: { readonly id: string }) => Promise.resolve(void seen.push(`+${id}`)),
    reset: ({ id }: { readonly id: string }) => Promise.resolve(void seen.push(`-${id}`)),
  };
  const records = openPodRecords(folder);
  const begin = (podUid: string): PodRecord => {
    const pod = { namespace: "ns", name: podUid };
    const record = { version: 1, podUid, pod, vmi: { ...pod, uid: podUid }, netns: "", stage: "network" } as const;
    records.put(record);
    return record;
  };
  const ask = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      resource: "macvtap.network.kubevirt.io/data",
      interface: `net${index}`,
    }));
  const devices = makeDeviceResources(records, [source]);
  begin("a");
  begin("b");
  const [claim] = await devices.claim("a", ask(1));
  assert.equal(claim?.device.id, "dataMvp0");
  assert.match(
    (await fault(devices.claim("b", ask(2)), "PB6122")).message,
    /2 devices of it; in use by ns\/a; 2 asked/,
  );
  assert.equal(records.get("b")?.devices, undefined, "all or none");

  await t.test("a daemon that begins anew knows whose they are", async () => {
    const later = makeDeviceResources(openPodRecords(folder), [source]);
    const [second] = await later.claim("b", ask(1));
    assert.equal(second?.device.id, "dataMvp1");
  });

  await t.test("they are free once their pod's record is gone", async () => {
    await devices.reset("a");
    records.remove("a");
    begin("c");
    assert.deepEqual(
      (await devices.claim("c", ask(2))).map(({ device }) => device.id),
      ["dataMvp0", "dataMvp1"],
    );
    assert.deepEqual(seen, ["+dataMvp0", "+dataMvp1", "-dataMvp0", "+dataMvp0", "+dataMvp1"]);
  });

  await t.test("a pod that gets none has left nothing", async () => {
    const pods = standalonePods({
      confDir,
      binDirs: ["/usr/lib/cni"],
      cacheDir: join(host.dataDir, "cni"),
      definitions: () =>
        Promise.resolve([
          {
            namespace: "ns",
            name: "data",
            config: '{"type": "macvtap"}',
            resourceName: "macvtap.network.kubevirt.io/data",
          },
        ]),
      devices,
    });
    const uid = `pbdev-${process.pid}`;
    begin(uid);
    const selections = [{ namespace: "ns", name: "data", interface: "net1", runtimeConfig: {} }];
    const request = { podUid: uid, namespace: "ns", name: uid, networks: { selections, genie: [] } };
    const given = pods.acquire(request, new AbortController().signal, () => undefined);
    assert.match((await fault(given, "PB6122")).message, /^Insufficient macvtap\.network\.kubevirt\.io\/data/);
    assert.equal(existsSync(pods.netnsOf(uid)), false);
  });
});

test("macvtap-cni's own plugin finds the link of its device on the host", async (t) => {
  if (!needs(t, "root", "netns", "veth", "macvtap")) return;
  const [lower, id, uid] = [`pbl${process.pid}`, `pbd${process.pid}`, "pod-uid"];
  // This is the machine's own namespace, where other tests may have links.
  const own = (): readonly string[] =>
    readLinks(OWN_NETNS)
      .links.map(({ name }) => name)
      .filter((name) => [lower, `${lower}p`, id].includes(name));
  const bin = mkdtempSync(join(tmpdir(), "pbdev-"));
  const run = (...args: string[]) => assert.equal(spawnSync("ip", args).status, 0, args.join(" "));
  t.after(() => {
    spawnSync("ip", ["link", "delete", lower]);
    rmSync(bin, { recursive: true });
  });
  run("link", "add", lower, "type", "veth", "peer", "name", `${lower}p`);
  run("link", "set", lower, "up");
  const device = { id, config: { lowerDevice: lower, mode: "vepa" } };
  await makeMacvtapDevice(device, uid, [bin]);
  assert.equal(linkOf(OWN_NETNS, id), undefined, "the built-in one needs none");
  writeFileSync(join(bin, "macvtap"), "");
  for (let again = 0; again < 2; again += 1) await makeMacvtapDevice(device, uid, [bin]);
  assert.deepEqual([linkOf(OWN_NETNS, id)?.kind, linkOf(OWN_NETNS, id)?.up], ["macvtap", true]);
  await removeMacvtapDevice(device, "another");
  assert.equal(linkOf(OWN_NETNS, id)?.kind, "macvtap", "another pod's is left alone");
  await fault(makeMacvtapDevice(device, "another", [bin]), "PB3025");
  const long = { ...device, id: "dataplane-netMvp0" };
  assert.match((await fault(makeMacvtapDevice(long, uid, [bin]), "PB3025")).cure ?? "", /DP_MACVTAP_CONF by 2\.$/);
  await removeMacvtapDevice(device, uid);
  await removeMacvtapDevice(device, uid);
  assert.deepEqual(own().toSorted(), [lower, `${lower}p`]);
});

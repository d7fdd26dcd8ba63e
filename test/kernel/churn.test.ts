// Two hundred pods on networks of every sort come and go, some of them badly; nothing of them is left.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultConflist } from "../../src/host/cni/default-network.ts";
import { delegatesOf } from "../../src/host/cni/delegation.ts";
import { addNetwork, delNetwork, listCached } from "../../src/host/cni/network.ts";
import { DEFAULT_BIN_DIRS } from "../../src/host/cni/plugins.ts";
import { applyKernel } from "../../src/host/linux/apply.ts";
import type { NetnsDump } from "../../src/host/linux/dump.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { closeFds } from "../../src/host/linux/tap.ts";
import { attachmentAnnotations, readPodNetworks } from "../../src/model/networks/network-selection.ts";
import { nicContexts, wire } from "../../src/model/wiring/nics.ts";
import { comesTo } from "../comes-to.ts";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";
import { leases, type TestHost, testHost } from "./cni-hosts.ts";
import {
  MASQUERADED,
  MASTER,
  type RandomNetworks,
  randomDefinitions,
  randomNetworks,
  seeded,
} from "./random-networks.ts";

const SEED = 20261121;
const PODS = 200;
/** So many at once, as a daemon has them. */
const AT_ONCE = 4;

/** What there is on the host, but for what a bridge's IPv6 is up to: it comes and goes with the ports. */
function looked(host: TestHost): NetnsDump {
  const dump = host.dump();
  const bridges = dump.links.filter(({ kind }) => kind === "bridge").map(({ name }) => name);
  return {
    ...dump,
    addresses: dump.addresses.filter(({ link, cidr }) => !bridges.includes(link) || !cidr.includes(":")),
    routes: dump.routes.filter(
      (route) => !route.includes(":") || !bridges.some((name) => route.includes(` dev ${name} `)),
    ),
  };
}

test("after 200 pods on random networks nothing is left, their addresses included", { timeout: 580_000 }, async (t) => {
  if (!needs(t, "root", "netns", "veth", "bridge", "tun", "nft", "cni", "macvtap")) return;
  const host = testHost(t);
  host.ip(host.netns, "link", "add", MASTER, "type", "veth", "peer", "name", "up1");
  for (const name of [MASTER, "up1"]) host.ip(host.netns, "link", "set", name, "up");
  const pools = join(host.dataDir, "pools");
  const confDir = join(host.dataDir, "net.d");
  mkdirSync(confDir);
  writeFileSync(join(confDir, "10-pod.conflist"), JSON.stringify(defaultConflist({ dataDir: host.dataDir })));
  const configurations = randomDefinitions(pools);
  const definitions = [...configurations].map(([name, config]) => ({
    namespace: "default",
    name,
    config: JSON.stringify(config),
  }));
  const random = seeded(SEED);
  let wired = 0;

  async function live(uid: string, { interfaces, networks }: RandomNetworks, end: number): Promise<void> {
    const spec = { domain: { devices: { interfaces } }, networks };
    const nics = nicContexts({ spec, hostName: "guest", annotations: {} });
    const reading = readPodNetworks(attachmentAnnotations(nics, interfaces, "default"), "default");
    assert.ok("networks" in reading);
    const netns = host.pod(uid);
    const sources = { confDir, binDirs: DEFAULT_BIN_DIRS, definitions: () => Promise.resolve(definitions) };
    const delegates = await delegatesOf(reading.networks, sources);
    for (const [position, { network, ifName, args, runtimeConfig }] of delegates.entries()) {
      const cniArgs = [["IgnoreUnknown", "1"] as const, ...args];
      await addNetwork({ network, containerId: uid, ifName, netns, args: cniArgs, runtimeConfig, position }, host.cni);
    }
    const resolver = { nameservers: ["10.96.0.10"], search: [], options: [] };
    const facts = { podUid: uid, ...readLinks(netns), resolver, networkStatus: [] };
    const { taps } = applyKernel(netns, wire(nics, facts).kernel);
    wired += 1;
    await closeFds([...taps.values()].flat());
    // A machine that was started anew has the records and no namespace.
    const isLost = end < 0.2 && !networks.some(({ multus }) => multus?.networkName === MASQUERADED);
    if (isLost) host.removePod(uid);
    for (const { ifName } of delegates.toReversed()) {
      assert.equal(await delNetwork({ containerId: uid, ifName }, host.cni), true);
      if (end > 0.9) assert.equal(await delNetwork({ containerId: uid, ifName }, host.cni), false);
    }
    if (!isLost) host.removePod(uid);
  }

  // Bridges stay as their plugin leaves them: each network was there once before.
  for (const [index, name] of [...configurations.keys()].entries()) {
    const nics = [{ name: "a", bridge: {} }] as const;
    await live(`first-${index}`, { interfaces: nics, networks: [{ name: "a", multus: { networkName: name } }] }, 1);
  }
  // The kernel takes a namespace's links away a moment after its name.
  const quiet = (): Promise<boolean> =>
    eventually("the pods' links to go", () =>
      Promise.resolve(readLinks(host.netns).links.every(({ name }) => !name.startsWith("veth"))),
    );
  await quiet();
  const before = { host: looked(host), open: readdirSync("/proc/self/fd").length };
  const wanted = Array.from({ length: PODS }, (_, index) => ({
    uid: `pod-${index}`,
    nics: randomNetworks(random, [...configurations.keys()]),
    end: random(),
  })).values();
  wired = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const { uid, nics, end } of wanted) {
        await live(uid, nics, end).catch((cause: unknown) => {
          throw new Error(`seed ${SEED}, ${uid}: ${JSON.stringify(nics)}`, { cause });
        });
      }
    }),
  );
  assert.equal(wired, PODS);
  await quiet();
  await comesTo(before.host, () => looked(host));
  assert.deepEqual(listCached(host.cni.cacheDir).attachments, []);
  const folders = [pools, join(host.dataDir, "cni", "host-local")].flatMap((pool) =>
    readdirSync(pool).map((network) => join(pool, network)),
  );
  assert.ok(folders.length >= 6, folders.join());
  for (const folder of folders) assert.deepEqual(leases(folder), [], folder);
  // The pipes of the last plugins are closed a moment after their end.
  await comesTo(before.open, () => readdirSync("/proc/self/fd").length);
});

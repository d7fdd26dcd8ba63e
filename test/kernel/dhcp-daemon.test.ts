// Networks whose addresses come from a DHCP server: the daemon that the CNI plugin dhcp asks is started, found again and ended.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { stopDhcpDaemon } from "../../src/host/cni/dhcp-daemon.ts";
import { addNetwork, checkNetwork, delNetwork } from "../../src/host/cni/network.ts";
import { startTimeOf } from "../../src/host/guest/process.ts";
import { within } from "../../src/host/linux/netns.ts";
import { readLinks } from "../../src/host/linux/pod-facts.ts";
import { eventually } from "../daemon.ts";
import { needs } from "../needs.ts";
import { fault, networkOf, type TestHost, testHost } from "./cni-hosts.ts";

const config = { cniVersion: "1.0.0", name: "leased", type: "bridge", bridge: "lan0", ipam: { type: "dhcp" } };
const network = networkOf(config);

/** A server with two addresses on the bridge. */
function serve(t: TestContext, host: TestHost): void {
  host.ip(host.netns, "link", "add", "lan0", "type", "bridge");
  host.ip(host.netns, "address", "add", "10.93.0.1/24", "dev", "lan0");
  host.ip(host.netns, "link", "set", "lan0", "up");
  const conf = join(host.dataDir, "udhcpd.conf");
  const lines = [
    ...["start 10.93.0.10", "end 10.93.0.11", "interface lan0", `lease_file ${join(host.dataDir, "leases")}`],
    ...[`pidfile ${join(host.dataDir, "udhcpd.pid")}`, "option subnet 255.255.255.0", "option router 10.93.0.1"],
  ];
  writeFileSync(conf, `${lines.join("\n")}\n`);
  writeFileSync(join(host.dataDir, "leases"), "");
  const server = within(host.netns, () => spawn("busybox", ["udhcpd", "-f", conf], { stdio: "ignore" }));
  t.after(() => server.kill("SIGKILL"));
}

test("the CNI plugin dhcp finds a daemon, which outlives Patchbay, is replaced when it hangs, and ends with the last lease", {
  timeout: 280_000,
}, async (t) => {
  if (!needs(t, "root", "netns", "cni", "bridge", "veth", "busybox")) return;
  const host = testHost(t);
  const { cacheDir } = host.cni;
  serve(t, host);
  const daemons = new Set<number>();
  const daemon = (): number => {
    const pid = Number(readFileSync(join(cacheDir, "dhcp.pid"), "utf8"));
    daemons.add(pid);
    return pid;
  };
  t.after(() => {
    // Of a test that failed half-way.
    for (const pid of daemons) if (startTimeOf(pid) !== undefined) process.kill(pid, "SIGKILL");
  });
  const add = async (containerId: string, pod = containerId): Promise<readonly string[]> => {
    const netns = host.pod(pod);
    const { result } = await addNetwork({ network, netns, containerId, ifName: "net1" }, host.cni);
    const [link] = readLinks(netns).links.filter(({ name }) => name === "net1");
    const addresses = link?.addresses.filter(({ scope }) => scope === "global").map(({ cidr }) => cidr) ?? [];
    assert.deepEqual(
      addresses,
      result.ips.map(({ address }) => address),
    );
    return addresses;
  };

  const first = await add("one");
  assert.match(first.join(), /^10\.93\.0\.1[01]\/24$/);
  const pid = daemon();

  // Another Patchbay on the same folder, which knows nothing but what is on disk, has the same daemon checked.
  const script = `
    import { checkNetwork } from ${JSON.stringify(new URL("../../src/host/cni/network.ts", import.meta.url).href)};
    await checkNetwork({ containerId: "one", ifName: "net1" }, ${JSON.stringify(host.cni)});
  `;
  const checked = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", script], { encoding: "utf8" });
  assert.equal(checked.status, 0, checked.stderr);
  assert.equal(daemon(), pid);

  // One that was killed is replaced, and has the lease of the pod that lives.
  process.kill(pid, "SIGKILL");
  await eventually("its end", () => Promise.resolve(startTimeOf(pid) === undefined));
  assert.equal(await checkNetwork({ containerId: "one", ifName: "net1" }, host.cni), true);
  assert.notEqual(daemon(), pid);

  // Meanwhile nobody answers here.
  const nobody = networkOf({ ...config, name: "silent", bridge: "quiet0" });
  const where = { netns: host.pod("three"), containerId: "three", ifName: "net1" };
  const silent = fault(addNetwork({ network: nobody, ...where }, host.cni), "PB3035");

  const second = await add("two");
  assert.equal(new Set([...first, ...second]).size, 2);

  // With a DEL the lease goes back to the server: the pool of two has an address again.
  await delNetwork({ containerId: "one", ifName: "net1" }, host.cni);
  assert.deepEqual(await add("one", "again"), first);

  assert.match((await silent).message, /No DHCP server answers the pod on the network "silent"/);
  await stopDhcpDaemon(cacheDir);
  const last = daemon();
  assert.notEqual(startTimeOf(last), undefined, "two attachments have their leases from it");
  for (const containerId of ["one", "two"]) await delNetwork({ containerId, ifName: "net1" }, host.cni);
  await stopDhcpDaemon(cacheDir);
  assert.equal(startTimeOf(last), undefined);
  assert.equal(existsSync(join(cacheDir, "dhcp.sock")), false);
});

test("a daemon that cannot be started is told with what it said", async (t) => {
  if (!needs(t, "root", "netns", "cni")) return;
  const host = testHost(t);
  const bin = join(host.dataDir, "bin");
  mkdirSync(bin);
  writeFileSync(join(bin, "dhcp"), "#!/bin/sh\necho no room >&2\nexit 3\n", { mode: 0o755 });
  const wanted = { network, netns: host.pod("one"), containerId: "one", ifName: "net1" };
  const broken = addNetwork(wanted, { ...host.cni, binDirs: [bin, "/usr/lib/cni"] });
  assert.match((await fault(broken, "PB3034")).message, /exit code 3\. It said: no room\./);
  mkdirSync(join(host.cni.cacheDir, "dhcp.sock", "in-the-way"), { recursive: true });
  await fault(addNetwork(wanted, host.cni), "PB3034");
  const deep = join(host.dataDir, "x".repeat(120));
  await fault(addNetwork(wanted, { ...host.cni, cacheDir: deep }), "PB3034");
});

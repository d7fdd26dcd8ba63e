// The pages' manifests of the pod network, each with a Debian guest on the disk that the fragment leaves out.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isJsonObject } from "../../src/model/json.ts";
import { eventually, TestHost } from "../daemon.ts";
import { gatewayOf, listening } from "../guest/user-mode.ts";
import { needs } from "../needs.ts";
import {
  type Additions,
  addressesOf,
  type DebianGuest,
  driverOf,
  firstAndOurs,
  inDebian,
  serveOn,
  toldAddresses,
} from "./debian-guests.ts";
import { debianImageFolder } from "./debian-image.ts";
import { shellImage } from "./shell-image.ts";
import { type Example, permitEverything } from "./sources.ts";

/** A port that none of the manifests lists. */
const SHUT = 81;
const CALLED = 8098;

test("the pod network", { timeout: 2_400_000 }, async (t) => {
  if (!needs(t, "daemon", "kubectl", "guestImage")) return;
  await shellImage();
  const host = await TestHost.make(t);
  await host.makeOutside([4, 6]);
  const called = await listening(host, host.netns, "serve", "::", String(CALLED), "here");
  await host.up(["--image-dir", debianImageFolder]);
  await permitEverything(host);
  const look = (
    name: string,
    example: Example,
    act: (guest: DebianGuest) => Promise<void>,
    additions?: Additions,
  ): Promise<void> =>
    t.test(
      name,
      { timeout: 600_000 },
      host.explained<TestContext>(async () => {
        const sources = await firstAndOurs(join(host.dataDir, example.twin), example);
        await inDebian(host, sources, act, additions);
      }),
    );
  /** Whether a page of a guest comes from an address. */
  const serves = async (address: string, port: number): Promise<boolean> =>
    (await host.probe("http", address, String(port))).ok;
  /** A pod's address of a family leads to a guest on that port alone, and is what the guest is seen as outside. */
  const isPods = async (guest: DebianGuest, address: string, port: number): Promise<void> => {
    await eventually(`${guest.name} at ${address}, port ${port}`, () => serves(address, port));
    assert.equal(await serves(address, SHUT), false, `port ${SHUT} of ${address}`);
    await isSeenAs(guest, address);
  };
  const isSeenAs = async ({ shell }: DebianGuest, address: string): Promise<void> => {
    const gateway = gatewayOf(address);
    const url = `http://${address.includes(":") ? `[${gateway}]` : gateway}:${CALLED}/`;
    assert.equal(await shell.ask(`curl -s --retry 5 --retry-connrefused ${url}`), "here");
    assert.ok(called.of("client").includes(address), `${address} is not among ${called.of("client").join(", ")}`);
  };

  await look(
    "S2.36 S2.47 S2.48 S3.23 S3.48 S3.49 S3.51: masquerade-port-e1000: an e1000 with DHCP's inner address, let in on one port",
    { twin: "masquerade-port-e1000", pages: ["3.5"] },
    async (guest) => {
      assert.equal(await driverOf(guest, "eth0"), "e1000");
      assert.ok((await addressesOf(guest, "eth0")).includes("10.0.2.2/24"));
      assert.match(await guest.shell.ask("ip route show default"), /^default via 10\.0\.2\.1 dev eth0 proto dhcp/);
      const port = guest.isPages ? 80 : 8080;
      await serveOn(guest, port, SHUT);
      const [address = ""] = await toldAddresses(host, guest.name);
      await isPods(guest, address, port);
    },
  );

  await look(
    "S3.53 S3.54 S3.55: masquerade-dual-stack-manual: IPv6 address and gateway of cloud-init's network data",
    { twin: "masquerade-dual-stack-manual", pages: ["3.12"] },
    async (guest) => {
      const { name, shell } = guest;
      const addresses = await addressesOf(guest, "eth0");
      assert.ok(addresses.includes("10.0.2.2/24") && addresses.includes("fd10:0:2::2/120"), addresses.join());
      // What routers advertise stands beside it.
      assert.match(await shell.ask("ip -6 route show default"), /proto static .*via fd10:0:2::1 dev eth0/s);
      const console = await readFile(join((await host.guest(name)).folder, "console.log"), "utf8");
      assert.match(console, /Datasource DataSourceNoCloud/);
      const [, seconds] = /finished at .* Up ([\d.]+) seconds/.exec(console) ?? [];
      t.diagnostic(`${name}: cloud-init was done ${seconds} s after the kernel began, beside another guest`);
      const port = guest.isPages ? 80 : 8443;
      await serveOn(guest, port, SHUT);
      const told = await toldAddresses(host, name);
      assert.equal(told.length, 2);
      for (const address of told) await isPods(guest, address, port);
      await eventually("the agent's words", async () => {
        const { status } = JSON.parse(await host.kubectlOk(["get", "vmi", name, "-o", "json"]));
        const [nic] = status.interfaces;
        return nic.infoSource === "domain, guest-agent" && nic.interfaceName === "eth0" && status.guestOSInfo?.id;
      });
      const said = await agentAddresses(host, name);
      for (const address of ["10.0.2.2", "fd10:0:2::2"]) assert.ok(said.includes(address), said.join());
    },
  );

  await look(
    "S2.52 S2.53 S2.54: masquerade-ipv6-manual: the script's address and gateway, or the same without it",
    { twin: "masquerade-ipv6-manual", pages: ["2.13"] },
    async (guest) => {
      // Of the page's script no shell runs the marks of HTML; of ours it may find the address there already, by DHCPv6.
      const addresses = await addressesOf(guest, "eth0");
      assert.ok(
        addresses.some((address) => address.startsWith("fd10:0:2::2/")),
        addresses.join(),
      );
      const routes = await guest.shell.ask("ip -6 route show default");
      assert.match(routes, /^default .*via (fe80::1|fd10:0:2::1) dev eth0/s);
      const port = guest.isPages ? 80 : 8443;
      await serveOn(guest, port, SHUT);
      const [, address = ""] = await toldAddresses(host, guest.name);
      assert.match(address, /:/);
      await isPods(guest, address, port);
    },
  );

  await look(
    "S0.7 S0.10 S0.14 S0.17 S1.8: bridge-mac-e1000: the pod's address by DHCP, on an e1000 with the manifest's MAC",
    { twin: "bridge-mac-e1000", pages: ["0.0"] },
    async (guest) => {
      const mac = guest.isPages ? "de:ad:00:00:be:af" : "52:54:00:ab:01:02";
      assert.equal(await guest.shell.ask("cat /sys/class/net/eth0/address"), mac);
      assert.equal(await driverOf(guest, "eth0"), "e1000");
      const [address = ""] = await toldAddresses(host, guest.name);
      assert.ok((await addressesOf(guest, "eth0")).some((one) => one.startsWith(`${address}/`)));
      await isSeenAs(guest, address);
      assert.match((await host.run(["ip", "neigh", "show", "to", address])).stdout, new RegExp(`lladdr ${mac}`));
    },
  );

  await look(
    "S2.56 S2.57 S2.62 S3.73 S3.74 S3.79: multiqueue: queues that the guest switches on by ethtool; a probe by its agent",
    { twin: "multiqueue", pages: ["3.14"] },
    async (guest) => {
      const { name, shell } = guest;
      await ready(host, name, "True");
      await shell.ask("systemctl stop qemu-guest-agent");
      await ready(host, name, "False");
      await shell.ask("systemctl start qemu-guest-agent");
      await ready(host, name, "True");
      const queues = async (): Promise<string> =>
        (await shell.ask("ethtool -l eth0")).match(/(?<=Combined:\s*)\d+/g)?.join(" of ") ?? "";
      /** Of the second queue; a queue that is off is not there. */
      const sent = async (): Promise<number> =>
        Number((await shell.ask("ethtool -S eth0")).match(/tx_queue_1_packets: (\d+)/)?.[1] ?? "-1");
      const [address = ""] = await toldAddresses(host, name);
      const ping = `taskset -c 1 ping -c 5 -i 0.2 ${gatewayOf(address)}`;
      await shell.ask("ethtool -L eth0 combined 1");
      assert.equal(await queues(), "2 of 1");
      assert.equal(await sent(), -1);
      await shell.ask("ethtool -L eth0 combined 2");
      assert.equal(await queues(), "2 of 2");
      const before = await sent();
      await eventually("packets of the second queue", async () => {
        await shell.ask(ping);
        return (await sent()) > before;
      });
      assert.equal(await host.value("vmi", name, ".status.interfaces[0].queueCount"), "2");
    },
    {
      domain: { cpu: { cores: 2 }, memory: { guest: "512Mi" } },
      spec: { readinessProbe: { guestAgentPing: {}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 10 } },
    },
  );

  await look(
    "S0.20 S0.22 S2.46 S3.43: slirp: an inner address; TCP passes, echo requests do not",
    { twin: "slirp", pages: ["3.10"] },
    async (guest) => {
      const [address = ""] = await toldAddresses(host, guest.name);
      assert.ok((await addressesOf(guest, "eth0")).some((one) => one.startsWith("10.0.2.")));
      await isSeenAs(guest, address);
      assert.notEqual((await guest.shell.run(`ping -c 2 -W 3 ${gatewayOf(address)}`)).code, 0);
    },
  );

  await look(
    "S3.59 S3.60 S3.62 S3.66 S3.67: passt: the pod's own addresses of both families, echo requests, and one port",
    { twin: "passt", pages: ["3.13"] },
    async (guest) => {
      const port = guest.isPages ? 8080 : 8443;
      await serveOn(guest, port, SHUT);
      const told = await toldAddresses(host, guest.name);
      assert.equal(told.length, 2);
      const inside = await addressesOf(guest, "eth0");
      for (const address of told) {
        assert.ok(
          inside.some((one) => one.startsWith(`${address}/`)),
          inside.join(),
        );
        await isPods(guest, address, port);
        await guest.shell.ask(`ping -c 1 -W 10 ${gatewayOf(address)}`);
      }
    },
  );
});

async function ready(host: TestHost, name: string, status: "True" | "False"): Promise<void> {
  const path = '.status.conditions[?(@.type=="Ready")].status';
  await eventually(`Ready=${status} of ${name}`, async () => (await host.value("vmi", name, path)) === status);
}

/** What the guest's agent says, out of the record of its pod. */
async function agentAddresses(host: TestHost, name: string): Promise<readonly string[]> {
  const { podUid } = await host.guest(name);
  const record: unknown = JSON.parse(await readFile(join(host.dataDir, "pods", `${podUid}.json`), "utf8"));
  const said = isJsonObject(record) && isJsonObject(record["agent"]) ? record["agent"]["said"] : undefined;
  const interfaces = isJsonObject(said) && Array.isArray(said["interfaces"]) ? said["interfaces"] : [];
  return interfaces.flatMap((nic: unknown) =>
    isJsonObject(nic) && Array.isArray(nic["addresses"]) ? nic["addresses"].map(String) : [],
  );
}

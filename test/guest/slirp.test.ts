// slirp: QEMU speaks for the guest on the pod's sockets. Its claims at their word, models, ports, names, and its plugin.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { answersFrozen, COMES_SECONDS, claimOf, explained, texts } from "./explained.ts";
import { openShell } from "./guest-shell.ts";
import {
  annotated,
  fetching,
  gatewayOf,
  MTU,
  onFamily,
  PERMITTED,
  RESOLVER,
  RESOLVER_6,
  surroundings,
} from "./user-mode.ts";

const MAC = "02:00:00:00:05:07";
const PORTED = guestManifest({
  name: "ported",
  devices: {
    interfaces: [{ name: "default", slirp: {}, ports: [{ port: 80 }, { port: 80 }, { port: 7, protocol: "UDP" }] }],
  },
  spec: RESOLVER,
});
/** On a pod network without IPv6, in a network of another size, by the plugin, as another model. */
const PLUGGED = annotated(
  guestManifest({
    name: "plugged",
    devices: {
      interfaces: [{ name: "default", binding: { name: "our-slirp" }, model: "rtl8139", macAddress: MAC }],
    },
    spec: { ...RESOLVER, networks: [{ name: "default", pod: { vmNetworkCIDR: "10.7.0.0/16" } }] },
  }),
  onFamily("four"),
);
/** On a pod network without IPv4. */
const SIX = annotated(
  guestManifest({
    name: "six",
    devices: { interfaces: [{ name: "default", slirp: {}, model: "e1000", ports: [{ port: 80 }] }] },
    spec: RESOLVER_6,
  }),
  onFamily("six"),
);

test("slirp", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const { host, outside, asked, called } = await surroundings(t);
  const refused = await host.kubectl(["apply", "-f", "-"], PORTED);
  await host.kubectlOk(["apply", "-f", "-"], [PERMITTED, PORTED, PLUGGED, SIX].join("---\n"));
  for (const name of ["ported", "plugged", "six"])
    await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  const claim = claimOf("slirp");
  const nic = await explained(host, "ported");
  const reached = texts(claim(nic, "in")["addresses"]);
  const [address = ""] = reached;
  const page = await host.page(address, /^ *dhcp4: ip=/m);
  const shell = await openShell(host, "ported");
  const { netns } = await host.guest("ported");
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step(
    "slirp.in: S0.13 S1.15 S2.34 S3.22: at the pod's IPv4 address, on the listed ports of each protocol and on no other",
    async () => {
      assert.equal(reached.length, 1);
      assert.deepEqual(claim(nic, "in")["ports"], [
        { protocol: "tcp", port: 80 },
        { protocol: "udp", port: 7 },
      ]);
      await host.reach("udp", address, "7");
      assert.equal((await host.probe("tcp", address, "7")).ok, false);
      const [, six = ""] = texts(JSON.parse(await host.value("vmi", "ported", ".status.interfaces[0].ipAddresses")));
      assert.match(six, /:/);
      assert.equal((await host.probe("http", six, "80")).ok, false);
    },
  );

  await step("slirp.in-icmp: the pod answers, whether the guest runs or not", async () => {
    assert.equal(claim(nic, "in-icmp")["answeredBy"], "pod");
    assert.equal(await answersFrozen(host, "ported", address, COMES_SECONDS), true);
  });

  await step(
    "slirp.out: S0.20 S0.22 S1.21 S1.23 S2.46 S3.43: by TCP and UDP, as the pod, and nothing else; names as the pod asks for them",
    async () => {
      const { guest, gateway, nameserver, seenAs } = claim(nic, "out");
      assert.deepEqual([guest, gateway, nameserver], ["10.0.2.15", "10.0.2.2", "10.0.2.3"]);
      assert.match(page, new RegExp(`^ *dhcp4: ip=${guest}$`, "m"));
      assert.match(page, new RegExp(`^ *dhcp4: router=${gateway}$`, "m"));
      assert.match(page, new RegExp(`^ *dhcp4: dns=${nameserver}$`, "m"));
      for (const at of outside) await shell.insist(fetching(at, 8099));
      for (const at of texts(seenAs)) {
        await shell.insist(fetching(gatewayOf(at), 8098));
        await eventually(`the call of ${at}`, () => Promise.resolve(called.of("client").includes(at)));
      }
      for (const at of outside) assert.notEqual((await shell.run(`ping -c 1 -W 2 ${at}`)).code, 0, at);
      assert.match(await shell.insist("nslookup ported.lab.example"), /192\.0\.2\.77/);
      await eventually("the question", () => Promise.resolve(asked.of("asked").includes("ported.lab.example")));
      assert.equal(await shell.ask("grep ^search /etc/resolv.conf"), "search lab.example");
    },
  );

  await step("slirp.mac: the guest's NIC has it", () => {
    assert.match(page, new RegExp(`^ *mac: ${claim(nic, "mac")["mac"]}$`, "m"));
    return Promise.resolve();
  });

  await step("slirp.mtu: QEMU's own, which nothing tells", async () => {
    const { hops, toldBy } = claim(nic, "mtu");
    assert.deepEqual(hops, [
      { device: "eth0", mtu: MTU },
      { device: "the guest's NIC", mtu: 1500 },
    ]);
    assert.deepEqual(toldBy, []);
    assert.match(page, /^ *mtu: 1500$/m);
    assert.doesNotMatch(page, /dhcp4: mtu=/);
    const { stdout } = await host.run(["nsenter", `--net=${netns}`, "ip", "-o", "link", "show", "eth0"]);
    assert.match(stdout, new RegExp(` mtu ${MTU} `));
  });

  await step("slirp.dhcp4: QEMU's own server answered", () => {
    assert.equal(claim(nic, "dhcp4")["served"], false);
    assert.match(page, /^ *dhcp4: serverid=10\.0\.2\.2$/m);
    return Promise.resolve();
  });

  await step("slirp.dhcp6: nobody gave an address", () => {
    assert.equal(claim(nic, "dhcp6")["served"], false);
    assert.doesNotMatch(page, /dhcp6: new_dhcp6_ia_na/);
    return Promise.resolve();
  });

  await step("slirp.ra: QEMU advertises, where the pod has IPv6", async () => {
    assert.equal(claim(nic, "ra")["served"], false);
    await eventually("its route", async () => /^default via fe80::2 dev eth0/m.test(await shell.ask("ip -6 route")));
    assert.match(await shell.ask("ip -6 address show dev eth0"), /inet6 fec0::/);
  });

  await step("slirp.queues: one, of a model that has no more", () => {
    assert.equal(claim(nic, "queues")["queues"], 1);
    assert.match(page, /^ *driver: e1000$/m);
    assert.match(page, /^ *queues: 1$/m);
    return Promise.resolve();
  });

  await step("slirp.migration: the condition says the same", async () => {
    assert.equal(claim(nic, "migration")["migratable"], false);
    assert.equal(await host.value("vmi", "ported", '.status.conditions[?(@.type=="LiveMigratable")].status'), "False");
  });

  await step("slirp.needs: S3.45: without the setting it is refused, and with it, it runs", async () => {
    assert.deepEqual(claim(nic, "needs")["needs"], [{ what: "setting", name: "permitSlirpInterface" }]);
    assert.match(refused.stderr, /PB2019.*permitSlirpInterface/);
    const events = ["get", "events", "-o", "jsonpath={range .items[*]}{.reason} {.message}{'\\n'}{end}"];
    const told = /UnregisteredNetworkBindingPlugin .*network-slirp-binding:20230830_638c60fc8/;
    await eventually("the event", async () => told.test(await host.kubectlOk(events)));
  });

  await step(
    "S3.44 S3.46: its plugin, by the name of its image: one NIC, its MAC kept, nothing let in (row 1)",
    async () => {
      const [own, ...others]: Readonly<Record<string, unknown>>[] = JSON.parse(
        await host.value("vmi", "plugged", ".status.interfaces"),
      );
      assert.deepEqual([others, own?.["mac"], own?.["ipAddress"]], [[], MAC, "10.51.0.2"]);
      assert.equal((await host.probe("http", "10.51.0.2", "80")).ok, false);
      const inside = await openShell(host, "plugged");
      await eventually("its lease", async () =>
        / inet 10\.7\.2\.15\/16 /.test(await inside.ask("ip address show dev eth0")),
      );
      assert.doesNotMatch(await inside.ask("ip -6 address show dev eth0"), /inet6 fec0::/);
      assert.equal(await inside.ask("cat /sys/class/net/eth0/address"), MAC);
      assert.match(await inside.ask("readlink /sys/class/net/eth0/device/driver"), /8139/);
      await inside.insist(fetching("192.0.2.2", 8099));
      assert.match(await inside.insist("nslookup plugged.lab.example"), /192\.0\.2\.77/);
      await inside.close();
    },
  );

  await step("a pod with IPv6 alone: nothing comes in, and the guest gets out by IPv6", async () => {
    const said = claim(await explained(host, "six"), "in");
    assert.deepEqual([said["addresses"], said["ports"]], [[], []]);
    assert.equal((await host.probe("http", "fd51::2", "80")).ok, false);
    const inside = await openShell(host, "six");
    assert.doesNotMatch(await inside.ask("ip -4 address show dev eth0"), /inet /);
    await eventually("the outside", async () => (await inside.run(fetching("2001:db8::2", 8099))).code === 0);
    assert.match(await inside.insist("nslookup six.lab.example fec0::3"), /192\.0\.2\.77/);
    await inside.close();
  });
  await shell.close();
});

// What `patchbay explain VMI` says of a running guest, taken at its word.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Dhcp4Service, Dhcp6Service, RouterAdvertisementService } from "../../src/model/wiring/wiring.ts";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { openConsole } from "./console-session.ts";
import { answers, answersFrozen, COMES_SECONDS, claimOf, explained, texts } from "./explained.ts";
import { openShell } from "./guest-shell.ts";

const MTU = 1400;
const QUEUES = 2;

const LIMITED = guestManifest({
  name: "limited",
  domain: { cpu: { cores: QUEUES } },
  devices: {
    networkInterfaceMultiqueue: true,
    interfaces: [{ name: "default", masquerade: {}, ports: [{ port: 80 }, { port: 7, protocol: "UDP" }] }],
  },
});

test("the claims about masquerade are true", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6], MTU);
  const outside = await host.makeOutside([4, 6]);
  await host.up();
  await host.kubectlOk(["apply", "-f", "-"], [LIMITED, guestManifest({ name: "open", ports: [] })].join("---\n"));
  for (const name of ["limited", "open"]) {
    await host.kubectlOk(["wait", "--for=condition=Ready", `vmi/${name}`, "--timeout=120s"]);
  }
  const claim = claimOf("masquerade");
  const limited = await explained(host, "limited");
  const open = await explained(host, "open");
  const [address = ""] = texts(claim(limited, "in")["addresses"]);
  // Both leases and the advertisement come in any order.
  const page = await host.page(
    address,
    /^ *dhcp4: ip=[\s\S]*^ *dhcp6: new_dhcp6_ia_na1_ia_addr1=[\s\S]*^route: default via fe80:/m,
  );
  const console = await openConsole(host, "limited");
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step(
    "masquerade.in: S0.11 S1.13 S2.27 S2.48 S3.16 S3.51: at the addresses, on the ports, and on no other",
    async () => {
      for (const at of texts(claim(limited, "in")["addresses"])) {
        await host.page(at);
        await host.reach("udp", at, "7");
        assert.equal((await host.probe("tcp", at, "7")).ok, false);
      }
      assert.deepEqual(claim(limited, "in")["ports"], [
        { protocol: "tcp", port: 80 },
        { protocol: "udp", port: 7 },
      ]);
      assert.equal(claim(open, "in")["ports"], "all");
      for (const at of texts(claim(open, "in")["addresses"])) {
        await host.page(at);
        for (const kind of ["tcp", "udp"] as const) await host.reach(kind, at, "7");
      }
    },
  );

  await step("masquerade.in-icmp: whoever is said to answer is the one who does", async () => {
    for (const [name, nic] of [
      ["limited", limited],
      ["open", open],
    ] as const) {
      for (const at of texts(claim(nic, "in")["addresses"])) {
        assert.equal(
          await answersFrozen(host, name, at, claim(nic, "in-icmp")["answeredBy"] === "pod" ? COMES_SECONDS : 2),
          claim(nic, "in-icmp")["answeredBy"] === "pod",
          `${name} ${at}`,
        );
      }
    }
    for (const at of texts(claim(open, "in")["addresses"])) {
      await eventually(`${at} to answer`, () => answers(host, at));
    }
  });

  await step("masquerade.in-local: loopback leads to the guest, which sees its gateway", async () => {
    const { netns } = await host.guest("limited");
    const loopbacks = texts(claim(limited, "in-local")["loopbacks"]);
    const seenAs = texts(claim(limited, "in-local")["seenAs"]);
    assert.equal(loopbacks.length, 2);
    for (const [index, at] of loopbacks.entries()) {
      const seen = new RegExp(`^client: ${seenAs[index]}$`, "m");
      await eventually(`${seen}`, async () => seen.test(String((await host.probeIn(netns, "http", at, "80"))["body"])));
      assert.equal((await host.probeIn(netns, "tcp", at, "7")).ok, false);
    }
  });

  await step("masquerade.out: S2.47 S3.48: the guest is seen outside of its pod as the pod", async () => {
    const seenAs = texts(claim(limited, "out")["seenAs"]);
    for (const [index, at] of outside.addresses.entries()) {
      const url = `http://${at.includes(":") ? `[${at}]` : at}:8099/`;
      console.type(`wget -q -O - ${url} && echo $((6 * 7))-reached-${index}\n`);
      await console.until(new RegExp(`42-reached-${index}`));
    }
    // The embedded network hides the pod behind the host: what the pod is seen as is read where the pod ends.
    const { netns } = await host.guest("limited");
    const { stdout } = await host.run(["nsenter", `--net=${netns}`, "nft", "list", "ruleset"]);
    assert.match(stdout, /ip saddr 10\.0\.2\.2 counter packets [1-9]\d* bytes \d+ masquerade/);
    assert.match(stdout, /ip6 saddr fd10:0:2::2 counter packets [1-9]\d* bytes \d+ masquerade/);
    assert.deepEqual(
      seenAs,
      texts(JSON.parse(await host.value("vmi", "limited", ".status.interfaces[0].ipAddresses"))),
    );
  });

  await step("masquerade.mac: the guest's NIC has it", () => {
    assert.match(page, new RegExp(`^ *mac: ${claim(limited, "mac")["mac"]}$`, "m"));
    return Promise.resolve();
  });

  await step("masquerade.mtu: on every hop, and told in every way", async () => {
    const { hops, toldBy } = claim(limited, "mtu");
    assert.ok(Array.isArray(hops) && hops.every(({ mtu }) => mtu === MTU), JSON.stringify(hops));
    const { netns } = await host.guest("limited");
    const { stdout } = await host.run(["nsenter", `--net=${netns}`, "ip", "-o", "link"]);
    for (const { device } of hops.slice(0, -1)) assert.match(stdout, new RegExp(` ${device}[@:].* mtu ${MTU} `));
    assert.match(page, new RegExp(`^ *mtu: ${MTU}$`, "m"));
    assert.deepEqual(toldBy, ["DHCPv4 (option 26)", "router advertisements", "the virtio device itself"]);
    assert.match(page, new RegExp(`^ *dhcp4: mtu=${MTU}$`, "m"));
    // Of the kernel's own: the option of the last advertisement, and the device's feature VIRTIO_NET_F_MTU (bit 3).
    console.type(`echo ra=$(cat /proc/sys/net/ipv6/conf/eth0/mtu) f=$(cut -c4 /sys/class/net/eth0/device/features)\n`);
    await console.until(new RegExp(`ra=${MTU} f=1`));
  });

  await step("masquerade.dhcp4: S2.47 S3.49: the lease is what the guest got", () => {
    const lease = claim(limited, "dhcp4")["lease"] as Dhcp4Service;
    const got = (key: string): string => new RegExp(`^ *dhcp4: ${key}=(.*)$`, "m").exec(page)?.[1] ?? "";
    assert.deepEqual(
      [got("ip"), got("mask"), got("router"), got("dns"), got("search"), got("hostname"), got("serverid")],
      [
        lease.clientAddress,
        String(lease.prefixLength),
        lease.routers.join(" "),
        lease.dnsServers.join(" "),
        lease.searchDomains.join(" "),
        lease.hostName,
        lease.serverAddress,
      ],
    );
    return Promise.resolve();
  });

  await step("masquerade.dhcp6: S2.52 S2.54 S3.55: the address and the name servers are what the guest got", () => {
    const lease = claim(limited, "dhcp6")["lease"] as Dhcp6Service;
    assert.match(page, new RegExp(`^ *dhcp6: new_dhcp6_ia_na1_ia_addr1=${lease.clientAddress}$`, "m"));
    for (const server of lease.dnsServers) assert.match(page, new RegExp(`dhcp6_name_servers=.*${server}`));
    return Promise.resolve();
  });

  await step("masquerade.ra: the router and the prefix are what the guest's kernel learnt", () => {
    const ra = claim(limited, "ra")["advertisement"] as RouterAdvertisementService;
    assert.match(page, new RegExp(`^route: default via ${ra.linkLocal} `, "m"));
    assert.match(page, new RegExp(`^route: ${ra.prefix} dev eth0 `, "m"));
    return Promise.resolve();
  });

  await step("masquerade.queues: S2.56 S2.57 S2.59 S3.73 S3.74 S3.76: so many pairs, and so many vectors", async () => {
    const { queues, msiVectors } = claim(limited, "queues");
    assert.equal(queues, QUEUES);
    assert.match(page, new RegExp(`^ *queues: ${QUEUES}$`, "m"));
    console.type("echo vectors=$(ls $(readlink -f /sys/class/net/eth0/device)/../msi_irqs | wc -l)\n");
    const [, vectors] = await console.until(/vectors=(\d+)\s/);
    assert.equal(Number(vectors), msiVectors);
  });

  await step("masquerade.migration: the condition says the same", async () => {
    const condition = '.status.conditions[?(@.type=="LiveMigratable")].status';
    assert.equal(
      await host.value("vmi", "limited", condition),
      String(claim(limited, "migration")["migratable"]) === "true" ? "True" : "False",
    );
  });

  await step("masquerade.needs: it runs on a machine that has nothing else", async () => {
    assert.deepEqual(claim(limited, "needs")["needs"], []);
    const { stdout } = await host.kubectl(["get", "net-attach-def,kubevirt", "-A", "-o", "name"]);
    assert.equal(stdout.trim(), "");
  });
  assert.equal(await console.detach(), 0);

  await step(
    "S2.53 S2.54 S3.54 S3.55: KubeVirt's IPv6 address and gateway do by hand as well, without what is served",
    async () => {
      const far = outside.addresses.find((at) => at.includes(":")) ?? "";
      const shell = await openShell(host, "limited");
      const reached = async (): Promise<boolean> =>
        (await shell.run(`timeout 5 wget -q -O - http://[${far}]:8099/`)).code === 0;
      await shell.ask("echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra");
      await shell.ask("ip -6 address flush dev eth0 scope global; ip -6 route del default");
      assert.equal(await reached(), false);
      await shell.ask("ip -6 address add fd10:0:2::2/120 dev eth0; ip -6 route add default via fd10:0:2::1");
      await eventually("the outside by IPv6", reached);
      await shell.close();
    },
  );
});

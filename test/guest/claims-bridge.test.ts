// What `patchbay explain VMI` says of a running guest on a bridge, taken at its word; and that the guest keeps it.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Dhcp4Service } from "../../src/model/wiring/wiring.ts";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { openConsole } from "./console-session.ts";
import { answers, answersFrozen, claimOf, explained, texts } from "./explained.ts";

const MTU = 1400;

const BRIDGED = guestManifest({
  name: "bridged",
  devices: { interfaces: [{ name: "default", bridge: {}, ports: [{ port: 80 }] }] },
});

test("the claims about bridge are true", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6], MTU);
  const outside = await host.makeOutside([4]);
  await host.up();
  await host.kubectlOk(["apply", "-f", "-"], BRIDGED);
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/bridged", "--timeout=120s"]);
  const claim = claimOf("bridge");
  const nic = await explained(host, "bridged");
  const addresses = texts(claim(nic, "in")["addresses"]);
  const [address = ""] = addresses;
  const page = await host.page(address, /^ *dhcp4: ip=/m);
  const { netns } = await host.guest("bridged");
  const inPod = async (...command: readonly string[]): Promise<string> =>
    (await host.run(["nsenter", `--net=${netns}`, ...command])).stdout;
  const console = await openConsole(host, "bridged");
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));

  await step("bridge.in: at the pod's IPv4 address, on ports that are not listed as well", async () => {
    assert.equal(addresses.length, 1);
    assert.deepEqual(
      texts(JSON.parse(await host.value("vmi", "bridged", ".status.interfaces[0].ipAddresses"))),
      addresses,
    );
    for (const kind of ["tcp", "udp"] as const) await host.reach(kind, address, "7");
  });

  await step("bridge.in-icmp: the guest answers, and nobody in its place", async () => {
    assert.equal(claim(nic, "in-icmp")["answeredBy"], "guest");
    await eventually("an answer", () => answers(host, address));
    assert.equal(await answersFrozen(host, "bridged", address), false);
  });

  await step("bridge.out: the guest is there itself, with nothing translated in its pod", async () => {
    for (const [index, at] of outside.addresses.entries()) {
      console.type(`wget -q -O - http://${at}:8099/ && echo $((6 * 7))-reached-${index}\n`);
      await console.until(new RegExp(`42-reached-${index}`));
    }
    assert.doesNotMatch(await inPod("nft", "list", "ruleset"), /nat|masquerade|^table (?!bridge k6t-eth0 )/m);
    // An entry comes and goes: the guest stood still a moment ago.
    const known = new RegExp(`lladdr ${claim(nic, "mac")["mac"]} `);
    await eventually(`${known} among the host's neighbours`, async () => {
      await answers(host, address);
      return known.test((await host.run(["ip", "neigh", "show", address])).stdout);
    });
  });

  await step(
    "bridge.mac: S2.41 S3.38: it is the one that the pod's link had, and the dummy in its place keeps it",
    async () => {
      const { mac } = claim(nic, "mac");
      assert.match(page, new RegExp(`^ *mac: ${mac}$`, "m"));
      assert.match(await inPod("ip", "-o", "link", "show", "eth0"), new RegExp(`link/ether ${mac} `));
    },
  );

  await step("bridge.mtu: on every hop, told by DHCP and by the device", async () => {
    const { hops, toldBy } = claim(nic, "mtu");
    assert.ok(Array.isArray(hops) && hops.every(({ mtu }) => mtu === MTU), JSON.stringify(hops));
    const links = await inPod("ip", "-o", "link");
    for (const { device } of hops.slice(0, -1)) assert.match(links, new RegExp(` ${device}[@:].* mtu ${MTU} `));
    assert.deepEqual(toldBy, ["DHCPv4 (option 26)", "the virtio device itself"]);
    assert.match(page, new RegExp(`^ *mtu: ${MTU}$`, "m"));
    assert.match(page, new RegExp(`^ *dhcp4: mtu=${MTU}$`, "m"));
    console.type("echo feature=$(cut -c4 /sys/class/net/eth0/device/features)\n");
    await console.until(/feature=1/);
  });

  await step("bridge.dhcp4: S0.17 S1.18 S2.40 S3.37: the lease is what the guest got, routes included", () => {
    const lease = claim(nic, "dhcp4")["lease"] as Dhcp4Service;
    const got = (key: string): string => new RegExp(`^ *dhcp4: ${key}=(.*)$`, "m").exec(page)?.[1] ?? "";
    assert.deepEqual(
      [got("ip"), got("mask"), got("router"), got("staticroutes"), got("serverid"), got("hostname")],
      [
        lease.clientAddress,
        String(lease.prefixLength),
        lease.routers.join(" "),
        lease.classlessRoutes.map(({ destination, gateway }) => `${destination} ${gateway}`).join(" "),
        lease.serverAddress,
        lease.hostName,
      ],
    );
    return Promise.resolve();
  });

  await step("bridge.dhcp6: nobody answers", () => {
    assert.equal(claim(nic, "dhcp6")["served"], false);
    assert.doesNotMatch(page, /dhcp6:/);
    return Promise.resolve();
  });

  await step("bridge.ra: no router is advertised", async () => {
    assert.equal(claim(nic, "ra")["served"], false);
    assert.doesNotMatch(await host.page(address), /^route: default via fe80:/m);
  });

  await step("S0.19 S1.20 S2.43 S3.40: the pod itself reaches nothing any more, and explain warns of it", async () => {
    const [far = ""] = outside.addresses;
    assert.equal((await host.probeIn(netns, "tcp", far, "8099")).ok, false);
    assert.ok(nic.notes.some(({ id, statement }) => id === "S3.40" && statement.includes("Istio")));
  });

  await step("bridge.queues: one pair, and so many vectors", async () => {
    const { queues, msiVectors } = claim(nic, "queues");
    assert.equal(queues, 1);
    console.type("echo vectors=$(ls $(readlink -f /sys/class/net/eth0/device)/../msi_irqs | wc -l)\n");
    const [, vectors] = await console.until(/vectors=(\d+)\s/);
    assert.equal(Number(vectors), msiVectors);
  });

  await step("bridge.migration: S2.45 S3.42 S3.61: the condition says the same, and why", async () => {
    const { migratable, statement } = claim(nic, "migration");
    assert.equal(migratable, false);
    const condition = '.status.conditions[?(@.type=="LiveMigratable")]';
    assert.equal(await host.value("vmi", "bridged", `${condition}.status`), "False");
    assert.ok(statement.endsWith(await host.value("vmi", "bridged", `${condition}.message`)));
  });

  await step("bridge.needs: S2.44 S3.41: with the setting that it names switched off it is refused", async () => {
    const needed = claim(nic, "needs")["needs"];
    assert.deepEqual(needed, [{ what: "setting", name: "permitBridgeInterfaceOnPodNetwork" }]);
    const settings = { network: { permitBridgeInterfaceOnPodNetwork: false } };
    const kubeVirt = { apiVersion: "kubevirt.io/v1", kind: "KubeVirt", metadata: { name: "kubevirt" } };
    await host.kubectlOk(["apply", "-f", "-"], JSON.stringify({ ...kubeVirt, spec: { configuration: settings } }));
    const refused = await host.kubectl(["apply", "-f", "-"], BRIDGED.replace("name: bridged", "name: barred"));
    assert.match(refused.stderr, /PB2022/);
  });

  assert.equal(await console.detach(), 0);

  await step("a daemon that is killed leaves the bridge, and the next one finds nothing to mend", async () => {
    const before = await inPod("ip", "-o", "link");
    await host.killDaemon();
    await host.reach("tcp", address, "7");
    await host.up();
    await host.page(address);
    assert.equal(await inPod("ip", "-o", "link"), before);
    assert.equal(await host.value("vmi", "bridged", ".status.phase"), "Running");
  });
});

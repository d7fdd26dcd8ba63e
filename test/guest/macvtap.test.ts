// Guests on macvtaps of the node and behind binding plugins that need no sidecar: what they reach, how many there may be.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { linkLocal, nicOf, ready } from "./attachments.ts";
import { answers, answersFrozen, claimOf, explained } from "./explained.ts";
import { openShell } from "./guest-shell.ts";

const RESOURCE = "macvtap.network.kubevirt.io/data";
const MACS = { virtio: "02:00:00:00:00:11", plugin: "02:00:00:00:00:12", third: "02:00:00:00:00:13" };
const settings = JSON.stringify({
  apiVersion: "v1",
  kind: "List",
  items: [
    {
      apiVersion: "kubevirt.io/v1",
      kind: "KubeVirt",
      metadata: { name: "kubevirt", namespace: "default" },
      spec: {
        configuration: {
          developerConfiguration: { featureGates: ["Macvtap", "NetworkBindingPlugins"] },
          network: {
            binding: {
              macvtap: { domainAttachmentType: "tap", migration: {} },
              managed: {
                domainAttachmentType: "managedTap",
                networkAttachmentDefinition: "extra",
                computeResourceOverhead: { requests: { memory: "64Mi" } },
              },
            },
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "macvtap-deviceplugin-config", namespace: "default" },
      data: { DP_MACVTAP_CONF: '[{"name": "data", "lowerDevice": "out0", "mode": "bridge", "capacity": 2}]' },
    },
    {
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { name: "data", namespace: "default", annotations: { "k8s.v1.cni.cncf.io/resourceName": RESOURCE } },
      spec: { config: JSON.stringify({ type: "macvtap", mtu: 1400 }) },
    },
    {
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { name: "extra", namespace: "default" },
      spec: { config: JSON.stringify({ type: "macvlan", master: "out0" }) },
    },
  ],
});

const MIGRATABLE = '.status.conditions[?(@.type=="LiveMigratable")]';
const onData = { name: "data", multus: { networkName: "data" } };
/** Again and again: the guest's DHCP client takes it away when it begins. */
const addressed = (address: string): string =>
  `#!/bin/sh\n(while :; do ip address add ${address}/24 dev eth0; sleep 1; done) > /dev/null 2>&1 &\n`;

test("macvtap and the binding plugins tap and managedTap", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "macvtap")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6]);
  const outside = await host.makeOutside([4, 6]);
  await host.up();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const far = `${host.netns}-o`;
  const page = async (address: string): Promise<string> => {
    let last: unknown;
    const found = eventually(`the page of ${address}`, async () => {
      const answer = await host.probeIn(far, "http", address, "80");
      last = answer;
      const { status, body } = answer;
      return status === 200 && String(body);
    });
    return found.catch(async (thrown: unknown) => {
      const { stdout } = await host.run(["ip", "neigh", "show", "to", address], { netns: far });
      throw new Error(`${JSON.stringify(last)}; its neighbour has: ${stdout}`, { cause: thrown });
    });
  };
  const message = (vmi: string): Promise<string> =>
    host.value("vmi", vmi, '.status.conditions[?(@.type=="Synchronized")].message');
  /** Of devices: a node with huge pages counts these, too. */
  const allocatable = async (): Promise<unknown> => {
    const told = await host.kubectlOk(["get", "node", "-o", "jsonpath={.items[0].status.allocatable}"]);
    const all: Readonly<Record<string, string>> = JSON.parse(told);
    return Object.fromEntries(Object.entries(all).filter(([name]) => name.includes("/")));
  };

  await host.kubectlOk(["apply", "-f", "-"], settings);
  await step("S3.95 S3.97: the node counts the devices that the ConfigMap wants, and no others", async () => {
    await eventually(
      "the node to count them",
      async () => JSON.stringify(await allocatable()) === `{"${RESOURCE}":"2"}`,
    );
  });
  const virtio = guestManifest({
    name: "virtio",
    domain: { cpu: { cores: 2 } },
    devices: {
      networkInterfaceMultiqueue: true,
      interfaces: [{ name: "data", macvtap: {}, macAddress: MACS.virtio }],
    },
    userData: addressed("192.0.2.11"),
    spec: { networks: [onData] },
  });
  const plugged = (name: "plugin" | "third", address: string): string =>
    guestManifest({
      name,
      devices: { interfaces: [{ name: "data", binding: { name: "macvtap" }, model: "e1000", macAddress: MACS[name] }] },
      userData: addressed(address),
      spec: { networks: [onData] },
    });
  const managedTap = (name: string): string =>
    guestManifest({
      name,
      annotations: { "patchbay.io/spoof-guard": "true" },
      devices: { interfaces: [{ name: "default", binding: { name: "managed" } }] },
    });
  const first = [virtio, plugged("plugin", "192.0.2.12"), managedTap("managed"), managedTap("peer")];
  await host.kubectlOk(["apply", "-f", "-"], first.join("---\n"));
  await ready(host, "virtio", "plugin", "managed", "peer");
  await host.kubectlOk(["apply", "-f", "-"], plugged("third", "192.0.2.13"));

  const shown = nicOf(await page("192.0.2.11"), MACS.virtio);
  const taps = await explained(host, "virtio");
  const told = claimOf("macvtap");
  const shell = await openShell(host, "virtio");
  const pings = async (address: string, seconds = 10): Promise<boolean> =>
    (await host.run(["busybox", "ping", "-c", "1", "-W", String(seconds), address], { netns: far })).code === 0;

  await step("macvtap.in: S3.90: from the node's network, on every port, but not from the node itself", async () => {
    assert.deepEqual([told(taps, "in")["addresses"], told(taps, "in")["ports"]], [[], "all"]);
    await eventually("its echo", async () => (await host.probeIn(far, "tcp", "192.0.2.11", "7")).ok);
    assert.match(await page(`${linkLocal(MACS.virtio)}%eth0`), /^hostname: /m);
    assert.equal((await host.run(["busybox", "ping", "-c", "1", "-W", "2", "192.0.2.11"])).code === 0, false);
  });

  await step("macvtap.in-icmp: the guest answers, and nobody in its place", async () => {
    assert.equal(told(taps, "in-icmp")["answeredBy"], "guest");
    await eventually("an answer", () => pings("192.0.2.11"));
    const { qemuPid } = await host.guest("virtio");
    process.kill(qemuPid, "SIGSTOP");
    try {
      assert.equal(await pings("192.0.2.11", 2), false);
    } finally {
      process.kill(qemuPid, "SIGCONT");
    }
  });

  await step("macvtap.out: the guest reaches what is there, as itself", async () => {
    await shell.insist(`wget -q -O - http://${outside.addresses[0]}:8099/`);
    await eventually("its call", () => Promise.resolve(outside.clients().includes("192.0.2.11")));
  });

  await step("macvtap.mac: the manifest's, on the pod's link as in the guest", async () => {
    assert.equal(told(taps, "mac")["mac"], MACS.virtio);
    const { netns } = await host.guest("virtio");
    const links = await host.run(["ip", "-o", "link", "show", "type", "macvtap"], { netns });
    assert.match(links.stdout, new RegExp(`link/ether ${MACS.virtio} `));
    assert.equal(await host.value("vmi", "virtio", ".status.interfaces[0].mac"), MACS.virtio);
  });

  await step("macvtap.mtu: the definition's, on the pod's link and in the guest", () => {
    const { hops, toldBy } = told(taps, "mtu");
    assert.ok(Array.isArray(hops) && hops.length === 2 && hops.every(({ mtu }) => mtu === 1400), JSON.stringify(hops));
    assert.deepEqual(toldBy, ["the virtio device itself"]);
    assert.match(shown.block, /^ *mtu: 1400$/m);
    return Promise.resolve();
  });

  await step("macvtap.dhcp4: nobody answers", () => {
    assert.equal(told(taps, "dhcp4")["served"], false);
    assert.doesNotMatch(shown.block, /dhcp4:/);
    return Promise.resolve();
  });

  await step("macvtap.dhcp6: nobody answers", () => {
    assert.equal(told(taps, "dhcp6")["served"], false);
    assert.doesNotMatch(shown.block, /dhcp6:/);
    return Promise.resolve();
  });

  await step("macvtap.ra: no router is advertised", async () => {
    assert.equal(told(taps, "ra")["served"], false);
    assert.doesNotMatch(await shell.ask("ip -6 route"), /^default/m);
  });

  await step("macvtap.queues: two pairs, with so many vectors, as libvirt's XML has them", async () => {
    const { queues, msiVectors } = told(taps, "queues");
    assert.equal(queues, 2);
    assert.equal(await shell.ask(`ls -d /sys/class/net/${shown.name}/queues/rx-* | wc -l`), "2");
    const vectors = await shell.ask(`ls $(readlink -f /sys/class/net/${shown.name}/device)/../msi_irqs | wc -l`);
    assert.equal(Number(vectors), msiVectors);
    assert.equal(await host.value("vmi", "virtio", ".status.interfaces[0].queueCount"), "2");
    const { stdout } = await host.patchbay(["domxml", "virtio"]);
    const pci = /^ *pci: 0000:(..):(..)\.(.)$/m.exec(shown.block) ?? [];
    const place = `bus='0x${pci[1]}' slot='0x${pci[2]}' function='0x${pci[3]}'`;
    for (const line of [`address='${MACS.virtio}'`, "<driver name='qemu' queues='2'/>", "<mtu size='1400'/>", place]) {
      assert.ok(stdout.includes(line), `${line}\n${stdout}`);
    }
  });
  await shell.close();

  await step("macvtap.migration: S3.99: the condition says the same", async () => {
    assert.equal(told(taps, "migration")["migratable"], true);
    assert.equal(await host.value("vmi", "virtio", `${MIGRATABLE}.status`), "True");
  });

  await step(
    "rows 2 and 5: the plugin macvtap (tap) × e1000: one NIC with the chosen MAC, and the two VMs talk",
    async () => {
      assert.equal(await host.value("vmi", "plugin", ".status.interfaces[*].mac"), MACS.plugin);
      assert.match(nicOf(await page("192.0.2.12"), MACS.plugin).block, /^ *address: 192\.0\.2\.12\/24$/m);
      const shell = await openShell(host, "plugin");
      assert.match(await shell.insist("wget -q -O - http://192.0.2.11/"), /^hostname: /m);
      await shell.insist("ping -c 1 192.0.2.11");
      await shell.close();
      const pod = ["get", "pod", "-l", "vm.kubevirt.io/name=plugin", "-o"];
      const limits = await host.kubectlOk([...pod, "jsonpath={.items[0].spec.containers[0].resources.limits}"]);
      assert.deepEqual(JSON.parse(limits), { [RESOURCE]: "1" });
      const variables = await host.kubectlOk([...pod, "jsonpath={.items[0].spec.containers[0].env}"]);
      assert.deepEqual(JSON.parse(variables), [{ name: "KUBEVIRT_RESOURCE_NAME_data", value: RESOURCE }]);
    },
  );

  await step(
    "a third VM waits for a device, says who has them, to the next daemon too, and starts when one is free",
    async () => {
      const waits = await eventually("the wait", async () => (await message("third")) || undefined);
      assert.match(
        waits,
        new RegExp(`^Insufficient ${RESOURCE}: the node has 2 devices of it; in use by default/virt-launcher-`),
      );
      assert.match(waits, /Delete a VMI that has one, or make more devices of it; the VM starts by itself then\.$/);
      await host.killDaemon();
      await host.up();
      await page("192.0.2.11");
      assert.notEqual(
        await host.value("vmi", "third", ".status.phase"),
        "Running",
        "the next daemon knows who has them",
      );
      await host.kubectlOk(["delete", "vmi", "virtio"]);
      await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/third", "--timeout=120s"]);
      assert.equal(await host.value("vmi", "third", '.status.conditions[?(@.type=="Synchronized")].status'), "True");
      assert.match(nicOf(await page("192.0.2.13"), MACS.third).block, /^ *address: 192\.0\.2\.13\/24$/m);
    },
  );

  const plugin = await explained(host, "managed");
  const says = claimOf("binding");
  const mac = String(says(plugin, "mac")["mac"]);
  const links = await host.run(["ip", "-o", "link", "show", "type", "bridge"]);
  const bridge = /^\d+: ([^:@]+)/.exec(links.stdout)?.[1] ?? "";
  const own = `${linkLocal(mac)}%${bridge}`;
  const body = await host.page(own);
  const { netns: podNetns } = await host.guest("managed");
  const inPod = async (...argv: readonly string[]): Promise<string> =>
    (await host.run(argv, { netns: podNetns })).stdout;
  const managedPod = ["get", "pod", "-l", "vm.kubevirt.io/name=managed", "-o"];
  const managedShell = await openShell(host, "managed");

  await step("binding.in: row 3: managedTap as the primary NIC: others reach the guest behind its tap", async () => {
    assert.equal(says(plugin, "in")["ports"], "plugin");
    assert.match(says(plugin, "in").statement, new RegExp(`the NIC with MAC ${mac} is plugged into tap0`));
    assert.match(await inPod("bridge", "link"), /tap0:.* master k6t-eth0/);
    await host.reach("tcp", own, "7");
  });

  await step("row 4: two VMs on managedTap ping each other, and each answers the other's requests", async () => {
    const peerShell = await openShell(host, "peer");
    const ends = [
      { shell: managedShell, of: await host.value("vmi", "peer", ".status.interfaces[0].mac") },
      { shell: peerShell, of: mac },
    ];
    assert.equal(new Set(ends.map(({ of }) => of)).size, 2);
    for (const { shell: from, of } of ends) {
      await eventually("an answer", async () => (await from.run(`ping -6 -c 1 -W 2 ${linkLocal(of)}%eth0`)).code === 0);
      assert.match(await from.ask("ip -6 neigh show dev eth0"), new RegExp(`^${linkLocal(of)} lladdr ${of} `, "m"));
      assert.match(await from.insist(`wget -q -O - "http://[${linkLocal(of)}%eth0]/"`), /^hostname: /m);
    }
    await peerShell.close();
    await host.kubectlOk(["delete", "vmi", "peer"]);
  });

  await step("binding.in-icmp: with managedTap the guest answers, and nobody in its place", async () => {
    assert.equal(says(plugin, "in-icmp")["answeredBy"], "plugin");
    await eventually("an answer", () => answers(host, own));
    assert.equal(await answersFrozen(host, "managed", own), false);
  });

  await step("binding.out: with managedTap as itself, with nothing translated in the pod", async () => {
    const gateway = /inet6 (fe80:\S+)\//.exec((await host.run(["ip", "-o", "address", "show", bridge])).stdout)?.[1];
    await managedShell.insist(`ping -6 -c 1 ${gateway}%eth0`);
    assert.doesNotMatch(await inPod("nft", "list", "ruleset"), /masquerade|dnat/);
  });

  await step("binding.mac: the one that the pod's link had", async () => {
    assert.equal(nicOf(body, mac).name, "eth0");
    const path = "jsonpath={.items[0].metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/network-status}";
    const [primary, extra] = JSON.parse(await host.kubectlOk([...managedPod, path]));
    assert.equal(primary.mac, mac);
    assert.deepEqual([extra.name, extra.interface], ["default/extra", "net1"], "the plugin's definition is attached");
    assert.equal(await host.value("vmi", "managed", ".status.interfaces[*].mac"), mac);
  });

  await step("binding.mtu: on every hop, told by the device", async () => {
    const { hops, toldBy } = says(plugin, "mtu");
    const devices = await inPod("ip", "-o", "link");
    assert.ok(Array.isArray(hops) && hops.length === 4);
    for (const { device, mtu } of hops.slice(0, -1)) assert.match(devices, new RegExp(` ${device}[@:].* mtu ${mtu} `));
    assert.deepEqual(toldBy, ["the virtio device itself"]);
    assert.match(body, new RegExp(`^ *mtu: ${hops.at(-1).mtu}$`, "m"));
  });

  await step("binding.dhcp4: nobody answers", () => {
    assert.equal(says(plugin, "dhcp4")["served"], false);
    assert.doesNotMatch(body, /dhcp4:/);
    return Promise.resolve();
  });

  await step("binding.dhcp6: nobody answers", () => {
    assert.equal(says(plugin, "dhcp6")["served"], false);
    assert.doesNotMatch(body, /dhcp6:/);
    return Promise.resolve();
  });

  await step("binding.ra: no router is advertised", async () => {
    assert.equal(says(plugin, "ra")["served"], false);
    assert.doesNotMatch(await managedShell.ask("ip -6 route"), /^default/m);
  });

  await step("binding.queues: one pair, and so many vectors", async () => {
    const { queues, msiVectors } = says(plugin, "queues");
    assert.equal(queues, 1);
    const vectors = await managedShell.ask("ls $(readlink -f /sys/class/net/eth0/device)/../msi_irqs | wc -l");
    assert.equal(Number(vectors), msiVectors);
  });

  await step("binding.memory: the pod asks for so much more than the guest has", async () => {
    assert.equal(says(plugin, "memory")["overhead"], "64Mi");
    const path = "jsonpath={.items[0].spec.containers[0].resources.requests.memory}";
    assert.equal(await host.kubectlOk([...managedPod, path]), String((192 + 64) * 1024 * 1024));
  });

  await step("binding.migration: the condition says the same, and why", async () => {
    const { migratable, statement } = says(plugin, "migration");
    assert.deepEqual([migratable, await host.value("vmi", "managed", `${MIGRATABLE}.status`)], [false, "False"]);
    assert.ok(statement.endsWith(await host.value("vmi", "managed", `${MIGRATABLE}.message`)));
    assert.equal(await host.value("vmi", "plugin", `${MIGRATABLE}.status`), "True");
  });

  await step("binding.guard: another MAC than the guest's does not pass, and is counted", async () => {
    const { device, mac: only } = says(plugin, "guard");
    assert.deepEqual([device, only], ["tap0", mac]);
    await managedShell.ask("ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99; ip link set eth0 up");
    const counted = async (): Promise<number> =>
      [...(await inPod("nft", "list", "ruleset")).matchAll(/counter packets (\d+) bytes \d+ drop/g)]
        .map(([, packets]) => Number(packets))
        .reduce((sum, packets) => sum + packets, 0);
    await eventually("forged frames to be counted", async () => (await counted()) > 0);
    assert.equal(await answers(host, `${linkLocal("02:00:00:00:00:99")}%${bridge}`, 1), false);
    await managedShell.close();
  });

  await step("a macvtap that somebody deletes under the guest is told, and nothing of it stays", async () => {
    const { netns } = await host.guest("plugin");
    const [link] = (await host.run(["ip", "-o", "link", "show", "type", "macvtap"], { netns })).stdout.split("\n");
    const name = /^\d+: ([^:@]+)/.exec(link ?? "")?.[1] ?? "";
    await host.run(["ip", "link", "delete", name], { netns });
    const loss = await eventually("the loss to be told", async () => (await message("plugin")) || undefined);
    assert.match(
      loss,
      new RegExp(`^The macvtap "${name}" of the running guest or the node's link below it was deleted`),
    );
    assert.match(loss, /Delete the VMI and apply it again/);
    await host.kubectlOk(["delete", "vmi", "--all"]);
    const left = await host.run(["ip", "-o", "link", "show", "type", "macvtap"]);
    assert.equal(left.stdout, "");
    assert.deepEqual(await allocatable(), { [RESOURCE]: "2" });
  });

  await step("macvtap.needs: S3.91 S3.97: without the gate, or a device, it does not come to be", async () => {
    assert.deepEqual(told(taps, "needs")["needs"], [
      { what: "add-on", name: "Multus" },
      { what: "definition", name: "default/data" },
      { what: "gate", name: "Macvtap" },
      { what: "device", name: "data" },
    ]);
    await host.kubectlOk([
      "patch",
      "kubevirt",
      "kubevirt",
      "--type=merge",
      "-p",
      `{"spec": {"configuration": {"developerConfiguration": {"featureGates": ["NetworkBindingPlugins"]}}}}`,
    ]);
    assert.match((await host.kubectl(["apply", "-f", "-"], virtio)).stderr, /PB2023/);
  });

  await step("binding.needs: without the registration it is refused", async () => {
    assert.deepEqual(says(plugin, "needs")["needs"], [
      { what: "registration", name: "managed" },
      { what: "definition", name: "extra" },
    ]);
    await host.kubectlOk(["delete", "kubevirt", "kubevirt"]);
    assert.match((await host.kubectl(["apply", "-f", "-"], managedTap("managed"))).stderr, /PB2303|PB2028/);
  });
});

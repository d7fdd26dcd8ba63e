// Guests on macvtaps of the node and behind binding plugins that need no sidecar: what they reach, how many there may be.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { linkLocal, nicOf, ready } from "./attachments.ts";
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
  ],
});

const onData = { name: "data", multus: { networkName: "data" } };
const addressed = (address: string): string =>
  `#!/bin/sh\nip address add ${address}/24 dev eth0\nip link set eth0 up\n`;

test("macvtap and the binding plugins tap and managedTap", { timeout: 500_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "macvtap")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6]);
  const outside = await host.makeOutside([4, 6]);
  await host.up();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const far = `${host.netns}-o`;
  const page = (address: string): Promise<string> =>
    eventually(`the page of ${address}`, async () => {
      const { status, body } = await host.probeIn(far, "http", address, "80");
      return status === 200 && String(body);
    });
  const message = (vmi: string): Promise<string> =>
    host.value("vmi", vmi, '.status.conditions[?(@.type=="Synchronized")].message');
  const allocatable = async (): Promise<unknown> =>
    JSON.parse(await host.kubectlOk(["get", "node", "-o", "jsonpath={.items[0].status.allocatable}"]));

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
  const managed = guestManifest({
    name: "managed",
    devices: { interfaces: [{ name: "default", binding: { name: "managed" } }] },
  });
  await host.kubectlOk(["apply", "-f", "-"], [virtio, plugged("plugin", "192.0.2.12")].join("---\n"));
  await ready(host, "virtio", "plugin");
  await host.kubectlOk(["apply", "-f", "-"], [plugged("third", "192.0.2.13"), managed].join("---\n"));

  await step(
    "S3.90: macvtap × virtio, 2 queues: the node's network reaches the guest at its MAC, with the MTU",
    async () => {
      const { block, name } = nicOf(await page("192.0.2.11"), MACS.virtio);
      assert.match(block, /^ *mtu: 1400$/m);
      assert.match(await page(`${linkLocal(MACS.virtio)}%eth0`), /^hostname: /m);
      assert.equal(await host.value("vmi", "virtio", ".status.interfaces[0].mac"), MACS.virtio);
      assert.equal(await host.value("vmi", "virtio", ".status.interfaces[0].queueCount"), "2");
      const shell = await openShell(host, "virtio");
      assert.equal(await shell.ask(`ls -d /sys/class/net/${name}/queues/rx-* | wc -l`), "2");
      await shell.ask(`wget -q -O - http://${outside.addresses[0]}:8099/`);
      await shell.close();
      assert.ok(outside.clients().includes("192.0.2.11"), "the guest is seen as itself");
    },
  );

  await step(
    "rows 2 and 5: the plugin macvtap (tap) × e1000: one NIC with the chosen MAC, and the two VMs talk",
    async () => {
      assert.equal(await host.value("vmi", "plugin", ".status.interfaces[*].mac"), MACS.plugin);
      assert.match(nicOf(await page("192.0.2.12"), MACS.plugin).block, /^ *address: 192\.0\.2\.12\/24$/m);
      const shell = await openShell(host, "plugin");
      assert.match(await shell.ask("wget -q -O - http://192.0.2.11/"), /^hostname: /m);
      await shell.ask("ping -c 1 192.0.2.11");
      await shell.close();
      const pod = ["get", "pod", "-l", "vm.kubevirt.io/name=plugin", "-o"];
      const limits = await host.kubectlOk([...pod, "jsonpath={.items[0].spec.containers[0].resources.limits}"]);
      assert.deepEqual(JSON.parse(limits), { [RESOURCE]: "1" });
    },
  );

  await step("a third VM waits for a device, says who has them, and starts when one is free", async () => {
    const told = await eventually("the wait", async () => (await message("third")) || undefined);
    assert.match(
      told,
      new RegExp(`^Insufficient ${RESOURCE}: the node has 2 devices of it; in use by default/virt-launcher-`),
    );
    assert.match(told, /Delete a VMI that has one, or make more devices of it; the VM starts by itself then\.$/);
    await host.kubectlOk(["delete", "vmi", "virtio"]);
    await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/third", "--timeout=120s"]);
    assert.equal(await host.value("vmi", "third", '.status.conditions[?(@.type=="Synchronized")].status'), "True");
    assert.match(nicOf(await page("192.0.2.13"), MACS.third).block, /^ *address: 192\.0\.2\.13\/24$/m);
  });

  await step(
    "rows 3 and 4: managedTap as the primary NIC: the pod's MAC, nothing served, and others reach it",
    async () => {
      await ready(host, "managed");
      const mac = await host.value("vmi", "managed", ".status.interfaces[0].mac");
      const pod = ["get", "pod", "-l", "vm.kubevirt.io/name=managed", "-o"];
      const status = await host.kubectlOk([
        ...pod,
        "jsonpath={.items[0].metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/network-status}",
      ]);
      assert.equal(JSON.parse(status)[0].mac, mac);
      const memory = await host.kubectlOk([
        ...pod,
        "jsonpath={.items[0].spec.containers[0].resources.requests.memory}",
      ]);
      assert.equal(memory, String((192 + 64) * 1024 * 1024));
      const links = await host.run(["ip", "-o", "link", "show", "type", "bridge"]);
      const bridge = /^\d+: ([^:@]+)/.exec(links.stdout)?.[1] ?? "";
      const body = await host.page(`${linkLocal(mac)}%${bridge}`);
      assert.doesNotMatch(body, /dhcp4: /);
    },
  );

  await step("a macvtap that somebody deletes under the guest is told, and nothing of it stays", async () => {
    const { netns } = await host.guest("plugin");
    const [link] = (await host.run(["ip", "-o", "link", "show", "type", "macvtap"], { netns })).stdout.split("\n");
    const name = /^\d+: ([^:@]+)/.exec(link ?? "")?.[1] ?? "";
    await host.run(["ip", "link", "delete", name], { netns });
    const told = await eventually("the loss to be told", async () => (await message("plugin")) || undefined);
    assert.match(
      told,
      new RegExp(`^The macvtap "${name}" of the running guest or the node's link below it was deleted`),
    );
    assert.match(told, /Delete the VMI and apply it again/);
    await host.kubectlOk(["delete", "vmi", "--all"]);
    const left = await host.run(["ip", "-o", "link", "show", "type", "macvtap"]);
    assert.equal(left.stdout, "");
    assert.deepEqual(await allocatable(), { [RESOURCE]: "2" });
  });
});

// Networks of NetworkAttachmentDefinitions: attached as Multus does it, with Debian's plugins, and bridged to the guest.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { comesTo } from "../comes-to.ts";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { definitions, networkStatusOf } from "./attachments.ts";

const RED_MAC = "02:00:00:00:00:07";

test("multus networks beside the pod network, and in its place", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6]);
  const outside = await host.makeOutside([4]);
  await host.up();
  const leases = join(host.dataDir, "leases");
  const ipam = (subnet: string, routes: readonly object[] = []): object => ({
    type: "host-local",
    dataDir: leases,
    ranges: [[{ subnet }]],
    routes,
  });
  const lan = {
    type: "bridge",
    bridge: "lan0",
    isGateway: true,
    mtu: 1400,
    ipam: ipam("10.50.0.0/24", [{ dst: "10.99.0.0/16" }]),
  };
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const before = await traces(host, leases);

  await host.kubectlOk(["create", "namespace", "net"]);
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(
      ["default", "lan", { cniVersion: "0.4.0", name: "lan", plugins: [lan, { type: "tuning" }] }],
      ["net", "wire", { type: "macvlan", master: "out0", mode: "bridge" }],
      [
        "net",
        "main",
        { type: "bridge", bridge: "main0", isDefaultGateway: true, ipMasq: true, ipam: ipam("10.60.0.0/24") },
      ],
      ["net", "bare", { type: "bridge", bridge: "bare0" }],
    ),
  );
  const many = guestManifest({
    name: "many",
    devices: {
      interfaces: [
        { name: "default", masquerade: {}, ports: [{ port: 80 }] },
        { name: "green", bridge: {}, pciAddress: "0000:00:10.0" },
        { name: "red", bridge: {}, macAddress: RED_MAC },
      ],
    },
    spec: {
      networks: [
        { name: "default", pod: {} },
        { name: "red", multus: { networkName: "lan" } },
        { name: "green", multus: { networkName: "net/wire" } },
      ],
    },
  });
  const alone = guestManifest({
    name: "alone",
    devices: { interfaces: [{ name: "main", bridge: {} }] },
    spec: { networks: [{ name: "main", multus: { networkName: "net/main", default: true } }] },
  });
  await host.kubectlOk(["apply", "-f", "-"], many);
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/many", "--timeout=120s"]);
  const address = await host.value("vmi", "many", ".status.interfaces[0].ipAddress");
  const page = await host.page(address, /dhcp4: ip=10\.50\.0\.2/m);
  const [podPath, pod] = ["pod", (await host.kubectlOk(["get", "pod", "-o", "name"])).trim().split("/")[1] ?? ""];
  const annotation = async (key: string): Promise<unknown> =>
    JSON.parse(await host.value(podPath, pod, `.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/${key}`));

  await step("S2.6 S2.10: the pod asks for them as KubeVirt's does, and says what it got as Multus does", async () => {
    assert.deepEqual(await annotation("networks"), [
      { name: "wire", namespace: "net", interface: "podba4788b226a" },
      { name: "lan", namespace: "default", mac: RED_MAC, interface: "podb1f51a511f1" },
    ]);
    const status = await annotation("network-status");
    assert.ok(Array.isArray(status));
    assert.deepEqual(
      status.map(({ name, interface: link, default: primary, ips }) => [name, link, primary, ips]),
      [
        ["patchbay", "eth0", true, [address, await host.value("vmi", "many", ".status.interfaces[0].ipAddresses[1]")]],
        ["net/wire", "podba4788b226a", undefined, undefined],
        ["default/lan", "podb1f51a511f1", undefined, ["10.50.0.2"]],
      ],
    );
    assert.equal(status[2].mac, RED_MAC);
  });

  await step(
    "S2.8 S2.29 S3.18: rows 51 and 55: the guest has the three NICs, with MAC, PCI address, MTU, address and routes",
    () => {
      const nics = page.split(/^nic: /m).slice(1);
      const [wire = "", , red = ""] = nics;
      assert.equal(nics.length, 3);
      assert.match(wire, /^ *pci: 0000:00:10\.0$/m);
      assert.doesNotMatch(wire, /dhcp4:/);
      for (const line of [
        `mac: ${RED_MAC}`,
        "mtu: 1400",
        "dhcp4: ip=10.50.0.2",
        "dhcp4: staticroutes=10.99.0.0/16 10.50.0.1",
      ]) {
        assert.ok(red.includes(`  ${line}\n`), line);
      }
      assert.doesNotMatch(red, /router=/);
      return Promise.resolve();
    },
  );

  await step("the network's bridge reaches the guest", async () => {
    assert.match(await host.page("10.50.0.2"), /^hostname: many/m);
  });

  await step("S2.13 S2.15 S3.9: row 52: a definition in the pod network's place", async () => {
    await host.kubectlOk(["apply", "-f", "-"], alone);
    await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/alone", "--timeout=120s"]);
    assert.equal(await host.value("vmi", "alone", ".status.interfaces[0].ipAddress"), "10.60.0.2");
    assert.match(await host.page("10.60.0.2"), /^hostname: alone/m);
    const networks = await networkStatusOf(host, "alone");
    assert.deepEqual(
      networks.map(({ name, interface: link }) => [name, link]),
      [["net/main", "eth0"]],
      "the pod has no pod network",
    );
  });
  assert.ok(outside.addresses.length > 0);

  await step(
    "S2.9 S2.16 S3.9 S3.98: what is not there is said, with what may be meant, and the VM starts when it comes",
    async () => {
      await host.kubectlOk(
        ["apply", "-f", "-"],
        alone.replace("name: alone", "name: late").replace("net/main", "main"),
      );
      const message = (): Promise<string> =>
        host.value("vmi", "late", '.status.conditions[?(@.type=="Synchronized")].message');
      const said = await eventually("the condition", message);
      assert.match(said, /There is no NetworkAttachmentDefinition default\/main.*net\/main/);
      await host.kubectlOk(["apply", "-f", "-"], definitions(["default", "main", { type: "bridge", bridge: "bare0" }]));
      await eventually("the next reason", async () => /gave the pod no address/.test(await message()));
      await host.kubectlOk(["delete", "vmi", "late"]);
    },
  );

  await step("with the VMs everything of theirs goes, addresses included", async () => {
    await host.kubectlOk(["delete", "vmi", "--all"]);
    await eventually("the end of the pods", async () => (await host.kubectlOk(["get", "pods", "-o", "name"])) === "");
    await comesTo(before, () => traces(host, leases));
  });
});

/** What attachments leave on a host: addresses that are taken, records, links but for the bridges that stay as CNI leaves them. */
async function traces(host: TestHost, leases: string): Promise<unknown> {
  const files = async (folder: string): Promise<string[]> =>
    (await readdir(folder, { recursive: true }).catch(() => [])).filter((name) => /\.json$|\/[0-9.]+$/.test(name));
  const links = (await host.run(["ip", "-br", "link"])).stdout.split("\n").map((line) => line.split(/\s+/)[0] ?? "");
  return {
    leases: await files(leases),
    results: await files(join(host.dataDir, "cni", "results")),
    links: links.filter((name) => name.includes("veth")),
  };
}

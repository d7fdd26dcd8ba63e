// CNI-Genie's networks: found by CNI type, eth0 and eth1 of the pod; flannel without flannel's binary.
import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";

test("a VM on two networks through Genie, and one that does not ask Genie", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const confDir = join(host.dataDir, "net.d");
  const [leases, subnetFile] = [join(host.dataDir, "leases"), join(host.dataDir, "subnet.env")];
  await mkdir(confDir);
  await writeFile(
    subnetFile,
    "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  );
  const second = { type: "host-local", dataDir: leases, subnet: "10.70.0.0/24" };
  for (const [file, config] of [
    ["00-genie.conf", { cniVersion: "0.3.0", name: "k8s-pod-network", type: "genie", default_plugin: "flannel" }],
    [
      "10-flannel.conf",
      {
        cniVersion: "0.3.1",
        name: "cbr0",
        type: "flannel",
        subnetFile,
        delegate: { bridge: "cbr0", isDefaultGateway: true, ipam: { dataDir: leases } },
      },
    ],
    [
      "99-second.conf",
      { cniVersion: "0.3.1", name: "second", type: "bridge", bridge: "sec0", isGateway: true, ipam: second },
    ],
  ] as const) {
    await writeFile(join(confDir, file), JSON.stringify(config));
  }
  await host.up(["--cni-conf-dir", confDir]);
  const two = guestManifest({
    name: "two",
    devices: {
      interfaces: [
        { name: "main", bridge: {} },
        { name: "second", bridge: {} },
      ],
    },
    spec: {
      networks: [
        { name: "main", genie: { networkName: "flannel" } },
        { name: "second", genie: { networkName: "bridge" } },
      ],
    },
  });
  await host.kubectlOk(["apply", "-f", "-"], `${two}---\n${guestManifest({ name: "plain" })}`);
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/two", "vmi/plain", "--timeout=120s"]);
  const addressOf = (name: string, nic = 0): Promise<string> =>
    host.value("vmi", name, `.status.interfaces[${nic}].ipAddress`);

  await step("S2.8 S2.18 S3.6: each NIC has its network's address, MTU and routes", async () => {
    const [main, other] = [await addressOf("two"), await addressOf("two", 1)];
    assert.match(main, /^10\.244\.3\./);
    assert.match(other, /^10\.70\.0\./);
    const page = await host.page(main, new RegExp(`dhcp4: ip=${main}[^]*dhcp4: ip=${other}`));
    const [, one = "", two = ""] = page.split(/^nic: /m);
    assert.match(one, /^ *mtu: 1450$/m);
    assert.match(one, new RegExp(`^ *dhcp4: ip=${main}$`, "m"));
    assert.match(one, /^ *dhcp4: staticroutes=.*10\.244\.0\.0\/16 10\.244\.3\.1/m);
    assert.match(two, /^ *mtu: 1500$/m);
    assert.match(await host.page(other), /^hostname: two/m);
  });

  await step("S2.23: the pod asks as KubeVirt's did, and has eth0 and eth1", async () => {
    const pod = (await host.kubectlOk(["get", "pod", "-l", "vm.kubevirt.io/name=two", "-o", "name"])).trim();
    assert.equal(await host.value("pod", pod.slice(4), ".metadata.annotations.cni"), "flannel,bridge");
    assert.equal(await host.value("vmi", "two", ".status.interfaces[*].podInterfaceName"), "eth0 eth1");
  });

  await step("a pod without the annotation is on Genie's default plugin", async () => {
    assert.match(await addressOf("plain"), /^10\.244\.3\./);
  });

  await step("everything of theirs goes", async () => {
    await host.kubectlOk(["delete", "vmi", "--all"]);
    await eventually("the end of the pods", async () => (await host.kubectlOk(["get", "pods", "-o", "name"])) === "");
    const files = await readdir(leases, { recursive: true });
    assert.deepEqual(
      files.filter((name) => /\/[0-9.]+$/.test(name)),
      [],
    );
  });
});

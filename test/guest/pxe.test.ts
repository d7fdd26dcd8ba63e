// The two-stage example: the pod network's boot server does not answer, the one on the second network does.
import assert from "node:assert/strict";
import { chmod, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { stringify } from "yaml";
import { GUEST_KERNEL_ARGS, guestPaths } from "../../src/host/images/build-guest.ts";
import { openDebianPackages } from "../../src/host/images/debian-packages.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { CACHE, guestImages } from "./image-cache.ts";

const MAC = "02:00:00:00:00:80";

test("S2.12 S3.7: a guest boots from the network of its second NIC", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "debianMirror")) return;
  const host = await TestHost.make(t);
  await host.usePodNetwork([4]);
  const { dnsmasq, root } = await bootServer(host.dataDir);
  for (const command of ["link add pxe0 type bridge", "address add 10.80.0.1/24 dev pxe0", "link set pxe0 up"]) {
    assert.equal((await host.run(["ip", ...command.split(" ")])).code, 0);
  }
  const server = host.start([
    ...[dnsmasq, "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=pxe0", "--bind-interfaces"],
    ...[
      "--dhcp-range=10.80.0.10,10.80.0.20",
      `--dhcp-leasefile=${join(host.dataDir, "dnsmasq.leases")}`,
      "--pid-file=",
    ],
    ...["--user=root", "--enable-tftp", `--tftp-root=${root}`, "--dhcp-boot=boot.ipxe", "--log-dhcp"],
  ]);
  let log = "";
  server.stderr?.setEncoding("utf8");
  server.stderr?.on("data", (text: string) => {
    log += text;
  });
  await eventually("the boot server", () => Promise.resolve(log.includes("TFTP root is")));
  await host.up();
  const definition = {
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name: "ovs-vlan-100" },
    spec: { config: JSON.stringify({ cniVersion: "0.3.1", type: "bridge", bridge: "pxe0" }) },
  };
  const manifest = guestManifest({
    name: "netboot",
    memory: "256Mi",
    domain: { firmware: {} },
    devices: {
      interfaces: [
        {
          name: "default",
          masquerade: {},
          bootOrder: 1,
          dhcpOptions: { bootFileName: "default_image.bin", tftpServerName: "tftp.example.com" },
        },
        { name: "ovs-net", bridge: {}, macAddress: MAC, bootOrder: 2 },
      ],
    },
    spec: {
      networks: [
        { name: "default", pod: {} },
        { name: "ovs-net", multus: { networkName: "ovs-vlan-100" } },
      ],
    },
  });
  await host.kubectlOk(["apply", "-f", "-"], `${stringify(definition)}---\n${manifest}`);
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/netboot", "--timeout=60s"]);
  const check = host.explained<TestContext>(async () => {
    const address = await host.value("vmi", "netboot", ".status.interfaces[0].ipAddress");
    const page = await host.page(address, /dhcp4: ip=10\.80\.0\.1\d/).catch((thrown: unknown) => {
      throw new Error(`${String(thrown)}\n${log}`);
    });
    assert.match(page, new RegExp(`mac: ${MAC}`));
    for (const file of ["boot.ipxe", "vmlinuz", "initrd"])
      assert.match(log, new RegExp(`sent \\S+/${file} to 10\\.80\\.`));
  });
  await check(t);
});

/** dnsmasq's program, and a folder that it serves with the test guest in it. */
async function bootServer(folder: string): Promise<{ readonly dnsmasq: string; readonly root: string }> {
  const store = await guestImages();
  const unpacked = join(folder, "unpacked");
  // The kernel's package is there already, from the test guest's building.
  await exclusively(join(CACHE, "lock"), async () => {
    const packages = await openDebianPackages(join(CACHE, "packages"), () => {});
    const kernel = await packages.dependency("linux-image-amd64", "linux-image-");
    await packages.unpack(["dnsmasq-base", kernel], unpacked);
  });
  const root = join(folder, "tftp");
  await mkdir(root);
  const boot = join(unpacked, "boot");
  const [vmlinuz = ""] = (await readdir(boot)).filter((name) => name.startsWith("vmlinuz"));
  const initrd = await store.extract("patchbay/guest:latest", guestPaths.initrd);
  await copyFile(join(boot, vmlinuz), join(root, "vmlinuz"));
  await copyFile(initrd, join(root, "initrd"));
  await writeFile(
    join(root, "boot.ipxe"),
    `#!ipxe\nkernel vmlinuz ${GUEST_KERNEL_ARGS} initrd=initrd\ninitrd initrd\nboot\n`,
  );
  for (const file of await readdir(root)) await chmod(join(root, file), 0o644);
  return { dnsmasq: join(unpacked, "usr", "sbin", "dnsmasq"), root };
}

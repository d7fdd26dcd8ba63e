// The two-stage example: the pod network's boot server does not answer, the one on the second network does.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { stringify } from "yaml";
import { TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { startBootServer } from "./boot-server.ts";

const MAC = "02:00:00:00:00:80";

test("S2.12 S3.7: a guest boots from the network of its second NIC", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "debianMirror", "busybox")) return;
  const host = await TestHost.make(t);
  await host.usePodNetwork([4]);
  for (const command of ["link add pxe0 type bridge", "address add 10.80.0.1/24 dev pxe0", "link set pxe0 up"]) {
    assert.equal((await host.run(["ip", ...command.split(" ")])).code, 0);
  }
  const server = await startBootServer(host, [{ link: "pxe0", network: "10.80.0" }]);
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
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/netboot", "--timeout=120s"]);
  const check = host.explained<TestContext>(async () => {
    const address = await host.value("vmi", "netboot", ".status.interfaces[0].ipAddress");
    const page = await host.page(address, /dhcp4: ip=10\.80\.0\.1\d/).catch((thrown: unknown) => {
      throw new Error(`${String(thrown)}\n${server.log()}`);
    });
    assert.match(page, new RegExp(`mac: ${MAC}`));
    assert.match(server.log(), /sent \S+\/boot\.ipxe to 10\.80\./);
    for (const file of ["vmlinuz", "initrd"])
      assert.match(server.log(), new RegExp(`10\\.80\\.0\\.\\d+\\]?:\\d+: url:/${file}`));
  });
  await check(t);
});

// The NIC that a VMI gets without asking, by what the cluster's configuration says; and none where it is not wanted.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { stringify } from "yaml";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { ready } from "./attachments.ts";
import { answers } from "./explained.ts";
import { openShell } from "./guest-shell.ts";

const unsaid = (name: string, devices: object = {}): string =>
  guestManifest({ name, devices: { interfaces: undefined, ...devices }, spec: { networks: undefined } });

/** The ports that KubeVirt's own migrations use, and another network inside (row 66). */
const INSIDE = guestManifest({
  name: "inside",
  ports: [{ port: 80 }, { port: 49152 }, { port: 49153 }],
  userData: "#!/bin/sh\nfor port in 49152 49153 49154; do httpd -p $port -h /www; done\n",
  spec: {
    networks: [{ name: "default", pod: { vmNetworkCIDR: "10.10.10.0/24", vmIPv6NetworkCIDR: "fd10:10:10::/120" } }],
  },
});

test("NICs that are not asked for", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4, 6]);
  await host.up();
  const configure = (defaultNetworkInterface: string): Promise<string> =>
    host.kubectlOk(
      ["apply", "-f", "-"],
      stringify({
        apiVersion: "kubevirt.io/v1",
        kind: "KubeVirt",
        metadata: { name: "kubevirt", namespace: "kubevirt" },
        spec: { configuration: { network: { defaultNetworkInterface } } },
      }),
    );
  await configure("bridge");
  await host.kubectlOk(
    ["apply", "-f", "-"],
    `${unsaid("none", { autoattachPodInterface: false })}---\n${unsaid("bridged")}`,
  );
  await configure("masquerade");
  await host.kubectlOk(["apply", "-f", "-"], `${unsaid("masked")}---\n${INSIDE}`);
  await ready(host, "none", "bridged", "masked", "inside");
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const addressesOf = async (name: string): Promise<readonly string[]> =>
    JSON.parse(await host.value("vmi", name, ".status.interfaces[0].ipAddresses"));

  await step(
    "S0.16 S1.24 S2.39 S3.25: row 62: without the pod's network the guest has nothing but its loopback",
    async () => {
      assert.deepEqual(JSON.parse(await host.value("vmi", "none", ".status.interfaces")), []);
      const shell = await openShell(host, "none");
      assert.equal(await shell.ask("ls /sys/class/net"), "lo");
      assert.equal(await shell.ask("grep -l 0x02 /sys/bus/pci/devices/*/class | wc -l"), "0");
      await shell.close();
    },
  );

  await step(
    "S0.15 S1.10 S2.38 S3.24 S3.62: the configured binding, bridge: the guest has the pod's address",
    async () => {
      const [address = ""] = await addressesOf("bridged");
      assert.match(await host.page(address, /dhcp4: ip=/), new RegExp(`^ *address: ${address}/24$`, "m"));
    },
  );

  await step("S2.45 S3.42 S3.62: the configured binding, masquerade: the guest has KubeVirt's address", async () => {
    const [address = ""] = await addressesOf("masked");
    assert.match(await host.page(address, /dhcp4: ip=/), /^ *address: 10\.0\.2\.2\/24$/m);
  });

  await step(
    "S2.50 S3.52: row 66: the ports of migrations are a guest's like others, on networks of its own choice",
    async () => {
      const addresses = await addressesOf("inside");
      assert.equal(addresses.length, 2);
      for (const address of addresses) {
        const page = await host.page(address, /^ *address: fd10:10:10::2\//m);
        assert.match(page, /^ *address: 10\.10\.10\.2\/24$/m);
        const served = (port: string): Promise<boolean> => host.probe("http", address, port).then(({ ok }) => ok);
        for (const port of ["49152", "49153"]) await eventually(`${address} ${port}`, () => served(port));
        assert.equal(await served("49154"), false, "not listed");
        await eventually(`${address} to answer`, () => answers(host, address));
      }
    },
  );
});

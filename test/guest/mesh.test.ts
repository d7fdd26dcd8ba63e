// A stand-in for a service mesh's proxy in the pod takes every connection of a masqueraded guest but SSH.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";

const PROXY = new URL("mesh-proxy.ts", import.meta.url).pathname;

/** As Istio's own rules: before the pod's NAT, everything to the proxy, but for SSH and what the proxy itself listens on. */
const REDIRECT = `table ip mesh {
  chain prerouting {
    type nat hook prerouting priority -101; policy accept;
    iifname "eth0" tcp dport != { 22, 15001, 15006 } redirect to :15006
    iifname "tap0" meta l4proto tcp redirect to :15001
  }
}
`;

for (const [what, ports] of [
  ["every port", undefined],
  ["listed ports", [{ port: 80 }, { port: 22 }]],
] as const) {
  test(`a guest with ${what} in a mesh`, { timeout: 600_000 }, async (t) => {
    if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
    const host = await TestHost.make(t);
    await host.useGuestImage();
    await host.usePodNetwork([4]);
    const outside = await host.makeOutside([4]);
    const [far = ""] = outside.addresses;
    await host.up();
    const manifest = guestManifest({
      name: "meshed",
      ...(ports === undefined ? {} : { ports }),
      userData: `#!/bin/sh
(while :; do echo from-ssh | nc -l -p 22; done) &
until wget -q -O /dev/console http://${far}:8099/ && echo; do sleep 1; done
`,
    }).replace("metadata:", 'metadata:\n  annotations: {sidecar.istio.io/inject: "TRUE"}');
    await host.kubectlOk(["apply", "-f", "-"], manifest);
    const { netns } = await host.guest("meshed");
    const address = await eventually("its address", () =>
      host.value("vmi", "meshed", ".status.interfaces[0].ipAddress"),
    );
    const inPod = (...argv: string[]): readonly string[] => ["nsenter", `--net=${netns}`, "--", ...argv];
    assert.equal((await host.run(inPod("nft", "-f", "-"), { input: REDIRECT })).code, 0);
    const proxy = host.start(inPod(process.execPath, PROXY, address, "80", far, "8099"));
    const said: string[] = [];
    proxy.stderr?.setEncoding("utf8");
    proxy.stderr?.on("data", (text: string) => said.push(...text.split("\n").filter((line) => line !== "")));
    await eventually("the proxy", () => Promise.resolve(said.includes("listening")));
    const count = (way: string): number => said.filter((line) => line.startsWith(way)).length;
    const step = (name: string, act: () => Promise<void>): Promise<void> =>
      t.test(name, host.explained<TestContext>(act));

    await step("S3.63: whoever calls it reaches it through the proxy", async () => {
      assert.match(await host.page(address), /^hostname: meshed/m);
      await eventually("its word", () => Promise.resolve(count("inbound") > 0));
      const before = count("inbound");
      assert.match(await host.page(address), /^hostname: meshed/m);
      await eventually("its word again", () => Promise.resolve(count("inbound") > before));
    });

    await step("SSH goes straight", async () => {
      // Each from a port of its own: the proxy may tell of earlier calls later than this.
      const calls: number[] = [];
      await eventually("the guest's port 22", async () => {
        calls.push(30_000 + calls.length);
        const from = String(calls.at(-1));
        const { stdout } = await host.run(["busybox", "nc", "-p", from, address, "22"], { timeoutMs: 10_000 });
        return stdout.includes("from-ssh");
      });
      assert.deepEqual(
        calls.filter((port) => said.includes(`inbound ${port}`)),
        [],
      );
    });

    await step("what it calls goes through the proxy", async () => {
      await eventually("a call", () => Promise.resolve(count("outbound") > 0 && outside.clients().length > 0));
    });

    await step("the daemon finds nothing to mend in the pod's rules", async () => {
      await host.killDaemon();
      await host.up();
      await host.page(address);
      const events = await host.kubectlOk(["get", "events", "-o", "jsonpath={.items[*].reason}"]);
      assert.doesNotMatch(events, /NetworkMended/);
    });

    await step("the pod names the guest's device to the mesh", async () => {
      const pod = (await host.kubectlOk(["get", "pod", "-o", "name"])).trim().slice(4);
      assert.equal(await host.value("pod", pod, ".metadata.annotations.istio\\.io/reroute-virtual-interfaces"), "tap0");
    });
  });
}

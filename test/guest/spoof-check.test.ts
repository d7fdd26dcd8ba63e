// The MAC spoof check of the CNI plugin bridge, as document 003 tells of it, tried by a guest that changes its MAC.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Explanation } from "../../src/model/explain/explain.ts";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { definitions, hostLocal, ready } from "./attachments.ts";
import { openShell } from "./guest-shell.ts";

const OWN = "02:00:00:00:58:01";
const OTHER = "02:00:00:00:58:02";

test("S3.100 S3.101 S3.102 S3.103: row 58: with macspoofchk a guest is heard with its own MAC alone", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4]);
  await host.up();
  const kubevirt = (guard: string): string =>
    JSON.stringify({
      ...{ apiVersion: "kubevirt.io/v1", kind: "KubeVirt" },
      metadata: { name: "kubevirt", annotations: { "patchbay.io/spoof-guard": guard } },
      spec: {},
    });
  const refused = await host.kubectl(["apply", "-f", "-"], kubevirt("on"));
  assert.match(refused.stderr, /PB1005: .*neither "true" nor "false"/);
  await host.kubectlOk(["apply", "-f", "-"], kubevirt("true"));
  const bridge = { cniVersion: "0.4.0", type: "bridge", isGateway: true };
  const networks = [
    { name: "checked", gateway: "10.58.0.1", config: { macspoofchk: true } },
    { name: "free", gateway: "10.59.0.1", config: {} },
  ];
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(
      ...networks.map(
        ({ name, gateway, config }) =>
          [
            "default",
            name,
            {
              ...{ ...bridge, name, bridge: `${name}0` },
              ...config,
              ipam: hostLocal(host, [gateway.replace(/1$/, "0/24")]),
            },
          ] as const,
      ),
    ),
  );
  await host.kubectlOk(
    ["apply", "-f", "-"],
    guestManifest({
      name: "guarded",
      devices: {
        interfaces: [
          { name: "default", masquerade: {}, macAddress: "02:00:00:00:57:01" },
          { name: "free", bridge: {}, macAddress: "02:00:00:00:57:02" },
        ],
      },
      spec: {
        networks: [
          { name: "default", pod: {} },
          { name: "free", multus: { networkName: "free" } },
        ],
      },
    }),
  );
  await host.kubectlOk(
    ["apply", "-f", "-"],
    guestManifest({
      name: "liar",
      // Its own word counts before that of the settings, or the other network would hear nothing either.
      annotations: { "patchbay.io/spoof-guard": "false" },
      devices: {
        interfaces: networks.map(({ name }, index) => ({
          name,
          bridge: {},
          ...(index === 0 ? { macAddress: OWN } : {}),
        })),
      },
      spec: { networks: networks.map(({ name }) => ({ name, multus: { networkName: name } })) },
    }),
  );
  await ready(host, "liar");
  const shell = await openShell(host, "liar");
  const check = host.explained<TestContext>(async () => {
    const [checked = "", free = ""] = networks.map(({ gateway }) => gateway);
    const reaches = async (address: string): Promise<boolean> =>
      (await shell.run(`ping -c 1 -W 2 ${address}`)).code === 0;
    const become = (mac: string): Promise<string> =>
      shell.ask(
        ["eth0", "eth1"]
          .map((link, index) => `ip link set ${link} address ${index === 0 ? mac : mac.replace(":58:", ":59:")}`)
          .join("; "),
      );
    await eventually("its lease", () => reaches(checked));
    await eventually("its other lease", () => reaches(free));
    await become(OTHER);
    assert.equal(await reaches(checked), false, "with another MAC");
    await eventually("the network without a check, with another MAC", () => reaches(free));
    await become(OWN);
    await eventually("the checked network, with its own MAC again", () => reaches(checked));
  });
  await check(t);
  await shell.close();

  await ready(host, "guarded");
  const guarded = await openShell(host, "guarded");
  const { stdout: said } = await host.patchbay(["explain", "guarded", "-o", "json"]);
  const { nics }: Explanation = JSON.parse(said);
  const { netns } = await host.guest("guarded");
  /** What a guest's NIC tells with its own MAC is heard, and with another's dropped and counted at its tap. */
  const holds = async (nic: string, link: string, neighbour: string): Promise<void> => {
    const guard = nics.find(({ name }) => name === nic)?.claims.find(({ id }) => id.endsWith(".guard"));
    assert.ok(guard !== undefined, said);
    const { device, mac } = guard;
    const dropped = async (): Promise<number> => {
      const { stdout } = await host.run([
        "nsenter",
        `--net=${netns}`,
        "nft",
        "list",
        "table",
        "netdev",
        `spoof-guard-${device}`,
      ]);
      return Number(stdout.match(/ether saddr != \S+ counter packets (\d+)/)?.[1]);
    };
    const reaches = async (): Promise<boolean> => (await guarded.run(`ping -c 1 -W 2 ${neighbour}`)).code === 0;
    await eventually("its lease", reaches);
    assert.equal(await dropped(), 0);
    await guarded.ask(`ip link set ${link} address ${OTHER}`);
    assert.equal(await reaches(), false);
    assert.ok((await dropped()) > 0);
    await guarded.ask(`ip link set ${link} address ${mac}`);
    await eventually("its own MAC to be heard again", reaches);
  };
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  await step("masquerade.guard: the settings guard a guest that says nothing, and what it forges is counted", () =>
    holds("default", "eth0", "10.0.2.1"),
  );
  await step("bridge.guard: on a network without a check of its own, too", () => holds("free", "eth1", "10.59.0.1"));
  await guarded.close();
});

// The MAC spoof check of the CNI plugin bridge, as document 003 tells of it, tried by a guest that changes its MAC.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { definitions, hostLocal, ready } from "./attachments.ts";
import { openShell } from "./guest-shell.ts";

const OWN = "02:00:00:00:58:01";
const OTHER = "02:00:00:00:58:02";

test("row 58: with macspoofchk a guest is heard with its own MAC alone", { timeout: 200_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl", "busybox")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.usePodNetwork([4]);
  await host.up();
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
      name: "liar",
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
});

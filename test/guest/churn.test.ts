// Guests on random networks come and go under one daemon; nothing of them is left, addresses included.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { BLANK_IMAGE, blankManifest, makeBlankImage } from "../blank-guest.ts";
import { comesTo } from "../comes-to.ts";
import { eventually, TestHost } from "../daemon.ts";
import { MASTER, randomDefinitions, randomNetworks, seeded } from "../kernel/random-networks.ts";
import { needs } from "../needs.ts";
import { definitions, leasesOf, ready } from "./attachments.ts";
import { namespacesOf, tracesOf } from "./traces.ts";

const SEED = 5;
const ROUNDS = 5;
const AT_ONCE = 4;

test("after 20 VMIs on random networks nothing is left", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "kubectl", "macvtap")) return;
  const host = await TestHost.make(t);
  await makeBlankImage(join(host.dataDir, "images"));
  await host.run(["ip", "link", "add", MASTER, "type", "veth", "peer", "name", "up1"]);
  for (const name of [MASTER, "up1"]) await host.run(["ip", "link", "set", name, "up"]);
  await host.up();
  const configurations = randomDefinitions(leasesOf(host));
  await host.kubectlOk(
    ["apply", "-f", "-"],
    definitions(...[...configurations].map(([name, config]) => ["default", name, config] as const)),
  );
  const names = [...configurations.keys()];
  const random = seeded(SEED);
  const uids: string[] = [];
  const round = async (
    wanted: readonly { readonly interfaces: unknown; readonly networks: unknown }[],
  ): Promise<void> => {
    const guests = wanted.map((_, index) => `guest-${index}`);
    const manifests = wanted.map(({ interfaces, networks }, index) =>
      blankManifest({
        name: guests[index] ?? "",
        domain: { devices: { disks: [{ name: "root", disk: { bus: "virtio" } }], interfaces } },
        spec: { networks, volumes: [{ name: "root", containerDisk: { image: BLANK_IMAGE } }] },
      }),
    );
    await host.kubectlOk(["apply", "-f", "-"], manifests.join("---\n"));
    await ready(host, ...guests);
    for (const name of guests) uids.push((await host.guest(name)).podUid);
    await host.kubectlOk(["delete", "vmi", "--all"]);
    await eventually("the end of the pods", async () => (await host.kubectlOk(["get", "pods", "-o", "name"])) === "");
  };
  const looked = async (): Promise<unknown> => {
    const { addresses: _, routes: __, ...rest } = await tracesOf(host);
    return rest;
  };
  // Bridges stay as their plugin leaves them: each network was there once before.
  await round(
    names.map((name) => ({
      interfaces: [{ name: "a", bridge: {} }],
      networks: [{ name: "a", multus: { networkName: name } }],
    })),
  );
  // A pod's namespace is freed by the kernel after its pod has gone, and the links in it with it.
  await eventually("the first round's links to go", async () =>
    (await tracesOf(host)).links.every((name) => !/^veth[0-9a-f]{8}$/.test(name)),
  );
  const before = await looked();
  for (let at = 0; at < ROUNDS; at += 1)
    await round(Array.from({ length: AT_ONCE }, () => randomNetworks(random, names)));
  t.diagnostic(`seed ${SEED}`);
  await comesTo(before, looked);
  assert.deepEqual(namespacesOf(uids), []);
  assert.equal(uids.length, names.length + ROUNDS * AT_ONCE);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { tracesOf } from "./traces.ts";
test("chaos", { timeout: 1_000_000 }, async (t) => {
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  const before = await tracesOf(host);
  for (let i = 0; i < Number(process.env["N"] ?? 12); i++) {
    const [a, b] = [Math.random() * 500, Math.random() * 250];
    await t.test(`round ${i} ${a.toFixed(0)} ${b.toFixed(0)}`, host.explained(async () => {
      await host.kubectlOk(["apply", "-f", "-"], guestManifest({ name: "guest" }));
      await delay(a);
      await host.killDaemon();
      await host.up();
      await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/guest", "--timeout=30s"]);
      const guest = await host.guest("guest");
      const now = await tracesOf(host);
      assert.equal(now.processes.filter((p) => p.includes("qemu-system")).length, 1, now.processes.join("\n"));
      assert.equal(now.links.length, before.links.length + 2, now.links.join());
      assert.equal(now.files.filter((f) => f.includes("host-local")).length, 2, now.files.join("\n"));
      await host.kubectlOk(["delete", "vmi", "guest", "--wait=false"]);
      await delay(b);
      await host.killDaemon();
      await host.up();
      await eventually("gone", async () => (await host.kubectl(["get", "vmi", "guest"])).code !== 0, 30000);
      let after = before;
      await eventually("before", async () => { after = await tracesOf(host); return isDeepStrictEqual(after, before); }, 5000).catch(() => assert.deepEqual(after, before));
      assert.deepEqual(readdirSync("/run/netns").filter((n) => n.includes(guest.podUid)), []);
    }));
  }
});

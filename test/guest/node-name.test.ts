import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, TestHost } from "../daemon.ts";
import { guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";

test("guests belong to their node's name, and a daemon that cannot start leaves nothing running", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up(["--node-name", "first"]);
  await host.kubectlOk(["apply", "-f", "-"], guestManifest({ name: "stays" }));
  await host.kubectlOk(["wait", "--for=condition=Ready", "vmi/stays", "--timeout=120s"]);
  const qemu = (): Promise<string> =>
    host.value("pod", "-lvm.kubevirt.io/name=stays", ".items[0].metadata.annotations.patchbay\\.io/qemu-pid");
  const pid = await qemu();
  assert.match(pid, /^\d+$/);
  assert.equal((await host.patchbay(["down"])).code, 0);

  await t.test("another name is refused while guests are there", async () => {
    const refused = await host.patchbay(["up", "--detach", "--port", "0", "--node-name", "second"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /PB6116.*"first".*"second"/s);
    assert.doesNotThrow(() => process.kill(Number(pid), 0), "the guest goes on");
  });

  await t.test("a record that cannot be read stops the start, and no half of a daemon stays", async () => {
    const damaged = join(host.dataDir, "pods", "damaged.json");
    await writeFile(damaged, "{");
    const refused = await host.patchbay(["up", "--detach", "--port", "0"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /PB6101.*damaged\.json/s);
    await rm(damaged);
    const again = await host.patchbay(["down"]);
    assert.match(again.stderr, /no daemon runs/);
  });

  await t.test("without a name the next daemon has the name and the guests of the last", async () => {
    await host.up();
    await eventually(
      "the guest to be adopted",
      async () => (await qemu()) === pid && (await host.value("vmi", "stays", ".status.nodeName")) === "first",
    );
    assert.equal(await host.value("vmi", "stays", ".status.phase"), "Running");
  });
});

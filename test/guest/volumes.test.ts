import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type TestContext, test } from "node:test";
import { eventually, type TestGuest, TestHost } from "../daemon.ts";
import { gatesManifest, guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { type SmallDisk, smallDisk } from "../small-disk.ts";

/** Between the boot sector and the first partition, which begins at sector 2048. */
const UNUSED_SECTOR = 1000;
const MARK = "written-by-a-guest";
const NETWORK_DATA = "version: 2\nethernets:\n  eth0:\n    dhcp4: true\n";

const DISK = { name: "root", disk: { bus: "virtio" } };
const SEED = { name: "seed", disk: { bus: "virtio" } };
const IMAGE = { containerDisk: { image: "patchbay/guest:latest", path: "/disk/guest.qcow2" } };

/** Boots from its disk, by the BIOS, and writes on it. */
const BOOTED = guestManifest({
  name: "booted",
  domain: { firmware: undefined },
  devices: { disks: [DISK, SEED] },
  spec: {
    volumes: [
      { name: "root", ...IMAGE },
      {
        name: "seed",
        cloudInitNoCloud: {
          userData: `#!/bin/sh
printf ${MARK} | dd of=/dev/vda bs=512 seek=${UNUSED_SECTOR} conv=notrunc 2>/dev/null
sync
cat /run/cloud/meta-data /run/cloud/network-config >/dev/console
echo disk-is-$(cat /sys/class/block/vda/size) >/dev/console
echo $((6 * 7))-written >/dev/console
`,
          networkData: NETWORK_DATA,
        },
      },
    ],
  },
});

/** Boots by its kernel with the same disk beside it, its data in base64, and then writes on a disk in a folder of the host. */
const beside = (folder: string): string =>
  guestManifest({
    name: "beside",
    devices: { disks: [{ ...DISK, serial: "PB-7" }, SEED, { name: "kept", disk: { bus: "virtio" } }] },
    spec: {
      volumes: [
        { name: "root", ...IMAGE },
        { name: "kept", hostDisk: { path: `${folder}/kept.img`, type: "Disk" } },
        {
          name: "seed",
          cloudInitNoCloud: {
            userDataBase64: Buffer.from(`#!/bin/sh
echo found-$(dd if=/dev/vda bs=512 skip=${UNUSED_SECTOR} count=1 2>/dev/null | tr -d '\\0' | wc -c)-bytes >/dev/console
echo serial-$(cat /sys/class/block/vda/serial)- >/dev/console
cat /run/cloud/network-config >/dev/console
echo $((6 * 8))-read >/dev/console
dd if=/dev/urandom of=/dev/vdc bs=1M count=4 conv=fsync 2>/dev/null && echo $((6 * 9))-kept >/dev/console
`).toString("base64"),
            networkDataBase64: Buffer.from(NETWORK_DATA).toString("base64"),
          },
        },
      ],
    },
  });

/** Host disks are forbidden else. */
const KUBEVIRT = gatesManifest("HostDisk");

test("disks: a containerDisk boots and keeps its writes to itself, cloud-init data is read", {
  timeout: 300_000,
}, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  let disk: SmallDisk | undefined;
  // Before its folder goes.
  t.after(() => disk?.unmount());
  const folder = await mkdtemp(join(tmpdir(), "patchbay-small-"));
  t.after(() => rm(folder, { recursive: true }));
  const host = await TestHost.make(t);
  await host.useGuestImage();
  disk = await smallDisk(folder, 8 << 20);
  const { fill, free } = disk;
  // QEMU's user passes through it.
  await chmod(folder, 0o711);
  await writeFile(join(folder, "kept.img"), "");
  await truncate(join(folder, "kept.img"), 6 << 20);
  await fill();
  await host.up();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  let hash = "";

  await step("a guest boots from its disk and writes on its own copy only", async () => {
    await host.kubectlOk(["apply", "-f", "-"], BOOTED);
    const guest = await host.guest("booted");
    const base = join(guest.folder, "root.qcow2.base");
    hash = await hashOf(base);
    const console = await said(guest, "42-written");
    assert.match(console, /disk-is-[1-9]\d+/);
    assert.match(console, /"local-hostname": ?"booted"/);
    assert.ok(console.replaceAll("\r", "").includes(NETWORK_DATA), console);
    const overlay = await readFile(join(guest.folder, "root.qcow2"));
    assert.ok(overlay.includes(MARK), "the overlay has what was written");
    assert.equal(await hashOf(base), hash, "the image's disk is as it was");
    assert.equal((await stat(base)).mode & 0o222, 0, "and read-only");
    assert.match(await pageOf(host, "booted"), /^hostname: booted$/m);
  });

  await step("beside kernelBoot the same image's disk is clean for another guest", async () => {
    await host.kubectlOk(["apply", "-f", "-"], [KUBEVIRT, beside(folder)].join("---\n"));
    const guest = await host.guest("beside");
    const console = await said(guest, "48-read");
    assert.match(console, /found-0-bytes/);
    assert.match(console, /serial-PB-7-/);
    assert.ok(console.replaceAll("\r", "").includes(NETWORK_DATA), console);
  });

  await step(
    "a guest that finds no room for what it writes stands still, which is told, and goes on once there is",
    async () => {
      const guest = await host.guest("beside");
      const condition = (type: string, field: string): Promise<string> =>
        host.value("vmi", "beside", `.status.conditions[?(@.type=="${type}")].${field}`);
      await eventually("its pause", async () => (await condition("Paused", "reason")) === "PausedIOError");
      assert.equal(await condition("Ready", "reason"), "PB5084");
      assert.match(
        await condition("Ready", "message"),
        /no room is left for what it writes on its disk "kept"\. .*\(df \/\S+\/kept\.\* shows where\)/,
      );
      await free();
      await said(guest, "54-kept");
      await eventually("Ready", async () => (await condition("Ready", "status")) === "True");
      assert.equal(await condition("Paused", "reason"), "");
      assert.match(await pageOf(host, "beside"), /^hostname: beside$/m);
    },
  );

  await step("with the guests the overlays go, and the image's disk stays as it was", async () => {
    const guest = await host.guest("booted");
    const base = join(guest.folder, "root.qcow2.base");
    const kept = createReadStream(base);
    // Opened before the folder goes: the store's file has the same inode, or this was a copy of it.
    await new Promise((resolve) => kept.once("open", resolve));
    await host.kubectlOk(["delete", "vmi", "--all"]);
    await assert.rejects(stat(guest.folder));
    const digest = createHash("sha256");
    await pipeline(kept, digest);
    assert.equal(digest.digest("hex"), hash);
  });
});

async function hashOf(file: string): Promise<string> {
  const digest = createHash("sha256");
  await pipeline(createReadStream(file), digest);
  return digest.digest("hex");
}

async function pageOf(host: TestHost, name: string): Promise<string> {
  // Its console may tell more than its status by now.
  const address = await eventually("its address", () => host.value("vmi", name, ".status.interfaces[0].ipAddress"));
  return host.page(address);
}

/** The console's text, once it has those words. */
function said(guest: TestGuest, words: string): Promise<string> {
  return eventually(`"${words}" on the console`, async () => {
    const text = await readFile(join(guest.folder, "console.log"), "utf8");
    return text.includes(words) && text;
  });
}

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { stringify } from "yaml";
import { buildDebian, DEBIAN_IMAGE } from "../../src/host/images/build-debian.ts";
import { openImageStore } from "../../src/host/images/store.ts";
import { eventually, TestHost } from "../daemon.ts";
import { CACHE } from "../guest/image-cache.ts";
import { needs } from "../needs.ts";
import { debianImageFolder, debianImages } from "./debian-image.ts";

const NAME = "cloud";
/** The name by which manifests of KubeVirt's users call such an image. */
const TAG = "quay.io/kubevirt/fedora-cloud-container-disk-demo:latest";
/** A Debian guest without KVM on a busy machine. */
const BOOTED_MS = 300_000;

/** What the guest tells of itself, one fact a line. */
const LOOK = `#!/bin/sh
exec >/dev/ttyS0
for program in iperf3 ethtool tcpdump networkctl qemu-ga cloud-init; do echo "has $(command -v $program)"; done
echo "release $(. /etc/os-release; echo $ID-$VERSION_ID)"
ethtool -L eth0 combined 2
echo "queues $(ethtool -l eth0 | awk '/^Combined/ {print $2}' | tr '\\n' ' ')"
for disk in /dev/disk/by-id/*SPARE*; do echo "spare $disk"; done
echo "failed units: $(systemctl --failed --plain --no-legend | wc -l)"
getent hosts localhost >/dev/null && echo "names are resolved"
touch /run/facts
echo facts-$((6 * 7))
`;

test("a build of the Debian guest that is interrupted leaves nothing behind", { timeout: 300_000 }, async (t) => {
  if (!needs(t, "root", "guestImage")) return;
  await debianImages(() => {});
  const folder = await mkdtemp(join(CACHE, "interrupted-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const store = await openImageStore(join(folder, "images"));
  const cacheDir = join(CACHE, "packages");
  const stopping = new AbortController();
  const onProgress = (line: string): void => {
    if (/^(extracting|unpacking|configuring) /.test(line)) stopping.abort(new Error("interrupted by the test"));
  };
  await assert.rejects(
    buildDebian({ store, cacheDir, onProgress, signal: stopping.signal }),
    /interrupted by the test/,
  );
  assert.deepEqual(
    (await readdir(cacheDir)).filter((name) => name.startsWith("debian-building")),
    [],
  );
  assert.deepEqual(await store.list(), []);
  assert.doesNotMatch(await readFile("/proc/self/mounts", "utf8"), /debian-building/);
});

test("the Debian guest: every bus, a config drive, multiqueue, probes by its agent", {
  timeout: 600_000,
}, async (t) => {
  if (!needs(t, "daemon", "kubectl")) return;
  await debianImages(() => {});
  const host = await TestHost.make(t);
  const tagged = await host.patchbay(["image", "tag", DEBIAN_IMAGE, TAG, "--image-dir", debianImageFolder]);
  assert.equal(tagged.code, 0, tagged.stderr);
  await host.up(["--image-dir", debianImageFolder]);
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const ready = (field: string): Promise<string> =>
    host.value("vmi", NAME, `.status.conditions[?(@.type=="Ready")].${field}`);

  await step("it is ready when the command of its probe succeeds in it", async () => {
    await host.kubectlOk(["apply", "-f", "-"], MANIFEST);
    await eventually("a guest that is not ready", async () => (await ready("reason")) === "ContainersNotReady");
    await eventually("a guest that is", async () => (await ready("status")) === "True", BOOTED_MS);
  });

  await step("it has its tools, both queues, and the disks of each bus", async () => {
    const guest = await host.guest(NAME);
    const console = (await readFile(join(guest.folder, "console.log"), "utf8")).replaceAll("\r", "");
    const has = (line: RegExp): void => assert.match(console, line);
    for (const program of ["iperf3", "ethtool", "tcpdump", "networkctl", "qemu-ga", "cloud-init"]) {
      has(new RegExp(`^has /usr/s?bin/${program}$`, "m"));
    }
    has(/^release debian-12$/m);
    has(/^queues 2 2 $/m);
    has(/^spare \/dev\/disk\/by-id\/usb-.*SPARE-USB/m);
    has(/^spare \/dev\/disk\/by-id\/scsi-.*SPARE-SCSI/m);
    has(/^failed units: 0$/m);
    has(/^names are resolved$/m);
  });

  await step("its agent tells the host name of the config drive and the file systems", async () => {
    const ask = async (subresource: string): Promise<Readonly<Record<string, unknown>>> =>
      JSON.parse(
        await host.kubectlOk([
          "get",
          "--raw",
          `/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/${NAME}/${subresource}`,
        ]),
      );
    assert.equal((await ask("guestosinfo"))["hostname"], NAME);
    const { items } = await ask("filesystemlist");
    assert.ok(Array.isArray(items));
    const root: unknown = items.find(({ mountPoint }) => mountPoint === "/");
    assert.match(JSON.stringify(root), /"fileSystemType":"ext4".*"busType":"sata"/);
  });

  await step("it ends by its power button, well within its time", async () => {
    const guest = await host.guest(NAME);
    await host.kubectlOk(["delete", "vmi", NAME, "--timeout=170s"]);
    const events = await host.kubectlOk(["get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert.doesNotMatch(events, /PB\d{4}/);
    await assert.rejects(readFile(join(guest.folder, "console.log")));
  });
});

const MANIFEST = stringify({
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: NAME },
  spec: {
    terminationGracePeriodSeconds: 120,
    domain: {
      cpu: { cores: 2 },
      memory: { guest: "768Mi" },
      devices: {
        networkInterfaceMultiqueue: true,
        interfaces: [{ name: "default", masquerade: {} }],
        rng: {},
        disks: [
          { name: "root", bootOrder: 1, disk: { bus: "sata" } },
          { name: "seed", cdrom: { bus: "sata" } },
          { name: "stick", serial: "SPARE-USB", disk: { bus: "usb" } },
          { name: "unit", serial: "SPARE-SCSI", disk: { bus: "scsi" } },
        ],
      },
    },
    networks: [{ name: "default", pod: {} }],
    readinessProbe: { exec: { command: ["/usr/bin/test", "-e", "/run/facts"] }, periodSeconds: 2, timeoutSeconds: 10 },
    livenessProbe: { guestAgentPing: {}, initialDelaySeconds: 600, timeoutSeconds: 30 },
    volumes: [
      { name: "root", containerDisk: { image: TAG.replace(":latest", "") } },
      { name: "seed", cloudInitConfigDrive: { userData: LOOK } },
      { name: "stick", emptyDisk: { capacity: "8Mi" } },
      { name: "unit", emptyDisk: { capacity: "8Mi" } },
    ],
  },
});

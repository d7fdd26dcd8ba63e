import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { stringify } from "yaml";
import type { VolumeStatus } from "../../src/model/api/vmi-status.ts";
import { eventually, TestHost } from "../daemon.ts";
import { gatesManifest, guestManifest } from "../manifests.ts";
import { needs } from "../needs.ts";
import { openConsoleSocket } from "./console-socket.ts";

const NAME = "laden";

/** What the guest tells of its disks and devices, one fact a line, and then that it is done. */
const LOOK = `#!/bin/sh
modprobe -a -q isofs nls_utf8
for disk in /sys/class/block/*; do
  name=\${disk##*/}
  case $name in vd*|sd*|sr*) ;; *) continue;; esac
  serial=$(cat $disk/serial 2>/dev/null)
  label=$(dd if=/dev/$name bs=1 skip=32808 count=32 2>/dev/null | tr -d '\\0' | sed 's/ *$//')
  echo "disk $name size=$(cat $disk/size) ro=$(cat $disk/ro) serial=$serial label=$label block=$(cat $disk/queue/physical_block_size)"
  mkdir -p /mnt/$name
  mount -t iso9660 -o ro /dev/$name /mnt/$name 2>/dev/null || continue
  for file in $(cd /mnt/$name && find . -type f); do echo "file $label $file $(tr '\\n' '~' </mnt/$name/$file | head -c 120)"; done
  umount /mnt/$name
done
for disk in vd sd; do
  for name in /dev/$disk?; do
    size=$(cat /sys/class/block/\${name##*/}/size)
    echo "begins $size $(dd if=$name bs=64 count=1 2>/dev/null | tr -d '\\0')"
    case $size in
      16384) printf 'kept by the host' | dd of=$name conv=notrunc 2>/dev/null;;
      24576) printf 'kept by the claim' | dd of=$name conv=notrunc 2>/dev/null;;
      28672) printf 'thrown away' | dd of=$name conv=notrunc 2>/dev/null;;
    esac
  done
done
sync
echo "machine serial $(cat /sys/class/dmi/id/product_serial)"
echo "virtio kinds $(cat /sys/bus/virtio/devices/*/device | tr '\\n' ' ')"
echo "rng $(cat /sys/class/misc/hw_random/rng_current)"
echo looked-$((6 * 7))
`;

/** What a guest tells that comes later. */
const LOOK_AGAIN = `#!/bin/sh
for name in /dev/sd?; do
  echo "begins $(cat /sys/class/block/\${name##*/}/size) $(dd if=$name bs=64 count=1 2>/dev/null | tr -d '\\0')"
done
cd /sys/bus/pci/devices
echo pci $(for place in *; do echo $place$(ls -d $place/net/* $place/*/net/* 2>/dev/null | sed 's,.*/net/,/net/,'); done)
`;

test("volumes and devices: one guest with every kind that this machine makes", { timeout: 600_000 }, async (t) => {
  if (!needs(t, "daemon", "guestImage", "kubectl")) return;
  const host = await TestHost.make(t);
  await host.useGuestImage();
  await host.up();
  const step = (name: string, act: () => Promise<void>): Promise<void> =>
    t.test(name, host.explained<TestContext>(act));
  const condition = (field: string): Promise<string> =>
    host.value("vmi", NAME, `.status.conditions[?(@.type=="Synchronized")].${field}`);
  const hostDisk = join(host.dataDir, "own", "host.img");
  const manifest = ladenManifest(hostDisk);

  await step("a Secret that is missing is told, and what makes it; so is a gate that is closed", async () => {
    await host.kubectlOk(["apply", "-f", "-"], manifest);
    await eventually("PB5073", async () => (await condition("reason")) === "PB5073");
    assert.match(await condition("message"), /Secret default\/cloud.*kubectl -n default create secret generic cloud/);
    await host.kubectlOk(["apply", "-f", "-"], OBJECTS);
    await eventually("PB5074", async () => (await condition("reason")) === "PB5074");
    assert.match(await condition("message"), /feature gate HostDisk is not open.*KubeVirt resource/);
  });

  await step("a claim that is missing is told; one can be filled before a guest has it", async () => {
    await host.kubectlOk(["apply", "-f", "-"], KUBEVIRT);
    await eventually("PB5073", async () => (await condition("reason")) === "PB5073");
    assert.match(await condition("message"), /no PersistentVolumeClaim default\/golden.*Apply one/);
    await host.kubectlOk(["apply", "-f", "-"], claim("golden", "14Mi"));
    await eventually("Bound", async () => (await host.value("pvc", "golden", ".status.phase")) === "Bound");
    const image = await host.value("pvc", "golden", ".metadata.annotations.patchbay\\.io/disk-image");
    const disk = join(host.dataDir, "golden.raw");
    await writeFile(disk, Buffer.concat([Buffer.from("golden"), Buffer.alloc(65_530)]));
    await promisify(execFile)("qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", disk, image]);
    await eventually("the other claim", async () => /Claim default\/data/.test(await condition("message")));
  });

  await step("with all of them the guest starts by itself, and finds each disk as it was asked for", async () => {
    await host.kubectlOk(["apply", "-f", "-"], claim("data", "12Mi"));
    const guest = await host.guest(NAME);
    const console = await eventually("what the guest saw", async () => {
      const text = (await readFile(join(guest.folder, "console.log"), "utf8")).replaceAll("\r", "");
      return text.includes("looked-42") && text;
    });
    const has = (line: RegExp): void => assert.match(console, line);
    has(/^disk vd. size=16384 ro=0 serial=HOST-1 label= /m);
    has(/^disk vd. size=24576 ro=0 serial= label= /m);
    has(/^disk vd. size=28672 ro=0 serial= label=/m);
    has(/^disk sd. size=28672 ro=1 serial= label=/m);
    has(/^begins 24576 $/m);
    assert.equal(console.match(/^begins 28672 golden$/gm)?.length, 2);
    has(/^disk vd. size=20480 ro=0 serial= label= block=4096$/m);
    has(/^disk sd. size=4096 ro=0 serial= label= /m);
    has(/^disk sr. size=\d+ ro=\d serial= label=cfgdata /m);
    has(/^file cfgdata \.\/greeting hello~$/m);
    has(/^file keys \.\/password s3cret$/m);
    has(/^file config-2 \.\/openstack\/latest\/user_data #cloud-config~$/m);
    has(/^file config-2 \.\/openstack\/latest\/network_data\.json \{"links":\[\]\}$/m);
    has(/^file config-2 \.\/openstack\/latest\/meta_data\.json .*"hostname": "laden"/m);
    has(/^file cidata \.\/network-config version: 2~/m);
    has(/^machine serial MACHINE-7$/m);
    // 18 is an input device (VIRTIO 1.2 section 5).
    has(/^virtio kinds .*0x0012 /m);
    has(/^rng virtio_rng\.0$/m);
    const { stdout } = await host.patchbay(["domxml", NAME]);
    assert.match(
      stdout,
      /<driver name='qemu' type='raw' cache='writethrough' error_policy='report' discard='unmap'\/>/,
    );
    assert.match(stdout, /<blockio logical_block_size='512' physical_block_size='4096'\/>/);
    assert.match(stdout, /type='qcow2' discard='unmap'\/>\s*<source file='[^']*\/scratched\.qcow2'\/>/);
    assert.match(
      stdout,
      /type='raw' discard='unmap'\/>\s*<source file='[^']*\/fixed\.img'\/>\s*<target [^>]*>\s*<readonly\/>/,
    );
    // Its host disk and its claims are this machine's alone.
    const migratable = '.status.conditions[?(@.type=="LiveMigratable")].reason';
    await eventually("what keeps it here", async () => {
      return (await host.value("vmi", NAME, migratable)) === "DisksNotLiveMigratable";
    });
    assert.equal(await host.value("vmi", NAME, ".status.migrationMethod"), "BlockMigration");
    const volumes = JSON.parse(await host.value("vmi", NAME, ".status.volumeStatus")) as readonly VolumeStatus[];
    const disks = stdout.matchAll(
      /<target dev='(\w+)' bus='\w+'\/>(?:(?!<\/disk>)[\s\S])*<alias name='ua-([^']+)'\/>/g,
    );
    assert.deepEqual(
      volumes.map(({ name, target }) => `${name} ${target}`),
      [...disks].map(([, device, name]) => `${name} ${device}`).toSorted(),
    );
    const { claimName, accessModes, capacity } =
      volumes.find(({ name }) => name === "data")?.persistentVolumeClaimInfo ?? {};
    assert.deepEqual([claimName, accessModes, capacity], ["data", ["ReadWriteOnce"], { storage: "12Mi" }]);
    const field = "vmi.status.volumeStatus.persistentVolumeClaimInfo.capacity";
    assert.match(await host.kubectlOk(["explain", field]), /How much there is/);
  });

  await step("another guest that would write on its claim is told who has it", async () => {
    await host.kubectlOk(["apply", "-f", "-"], RIVAL);
    const told = (): Promise<string> =>
      host.value("vmi", "rival", `.status.conditions[?(@.type=="Synchronized")].message`);
    const message = await eventually("PB5082", async () => /claim default\/data is in use.*/.exec(await told())?.[0]);
    assert.match(message, /the VMI default\/laden writes on it as its disk "data"/);
    await host.kubectlOk(["delete", "vmi", "rival"]);
  });

  await step("its screen is served by VNC through the API", async () => {
    const guest = await host.guest(NAME);
    assert.equal((await stat(join(guest.folder, "vnc.sock"))).isSocket(), true);
    await eventually("Running", async () => (await host.value("vmi", NAME, ".status.phase")) === "Running");
    const screen = openConsoleSocket(host, NAME, { subresource: "vnc" });
    await screen.until(/^RFB 003\.008\n/);
    screen.kill();
  });

  await step("its watchdog switches it off once nobody resets it, and the VMI says so", async () => {
    const guest = await host.guest(NAME);
    const serial = connect(join(guest.folder, "serial.sock"));
    serial.on("error", () => {});
    serial.write("rmmod i6300esb; modprobe i6300esb heartbeat=1; exec 3>/dev/watchdog\n");
    await eventually("the end", async () => (await host.value("vmi", NAME, ".status.phase")) === "Failed");
    serial.destroy();
    assert.equal(await condition("reason"), "PB5079");
    assert.match(await condition("message"), /watchdog switched it off/);
  });

  await step("a host disk keeps what was written when the guest is gone, others go with it", async () => {
    await host.kubectlOk(["delete", "vmi", NAME]);
    const kept = await readFile(hostDisk);
    assert.equal(kept.length, 8 << 20);
    assert.equal(kept.toString("latin1", 0, 16), "kept by the host");
    assert.deepEqual(await readdir(join(host.dataDir, "guests")), []);
  });

  /** Every device of the guest that is probed is on bus 0, its NIC in the first slot. */
  const placedOnRoot = async (): Promise<void> => {
    const { folder } = await host.guest("probed");
    const said = await eventually("what it sees on PCI", async () =>
      // The console may have a part of the line.
      /^pci .*\r?\n/m.exec(await readFile(join(folder, "console.log"), "utf8"))?.[0].trim(),
    );
    assert.match(said, /^pci( 0000:00:\S+)+$/);
    assert.match(said, / 0000:00:02\.0\/net\/eth0 /);
    const { stdout } = await host.patchbay(["domxml", "probed"]);
    assert.doesNotMatch(stdout, /pcie-root-port/);
    assert.match(stdout, /<rng [\s\S]*?<address type='pci' domain='0x0000' bus='0x00' slot='0x08' function='0x0'\/>/);
  };

  /** What the guest before wrote is on its claim, and nothing of it where its writes were kept apart. */
  const claimsKept = async (): Promise<void> => {
    const { folder } = await host.guest("probed");
    const console = await readFile(join(folder, "console.log"), "utf8");
    assert.match(console, /^begins 24576 kept by the claim\r?$/m);
    assert.match(console, /^begins 28672 golden\r?$/m);
  };

  await step(
    "readiness is what the probe finds, and who is dead by the other ends; all devices on bus 0 if asked",
    async () => {
      const probed = (field: string): Promise<string> =>
        host.value("vmi", "probed", `.status.conditions[?(@.type=="Ready")].${field}`);
      const pulse = host.start([
        process.execPath,
        join(import.meta.dirname, "../probe.ts"),
        "serve",
        "::",
        "8099",
        "alive",
      ]);
      await once(pulse.stderr ?? pulse, "data");
      await host.kubectlOk(["apply", "-f", "-"], PROBED);
      await eventually("a guest that is not ready", async () => (await probed("reason")) === "ContainersNotReady");
      await eventually("a guest that is", async () => (await probed("status")) === "True");
      assert.equal(await host.value("vmi", "probed", ".status.phase"), "Running");
      await placedOnRoot();
      await claimsKept();
      const serial = connect(join((await host.guest("probed")).folder, "serial.sock"));
      serial.on("error", () => {});
      serial.write("ip link set eth0 down\n");
      await eventually("a guest that is not any more", async () => (await probed("status")) === "False");
      assert.match(await probed("message"), /readiness probe fails: port 80 of /);
      pulse.kill("SIGKILL");
      await eventually("its end", async () => (await host.value("vmi", "probed", ".status.phase")) === "Failed");
      serial.destroy();
      assert.equal(await probed("reason"), "PB6109");
      assert.match(
        await probed("message"),
        /liveness probe failed 2 times in a row: port 8099 of 127\.0\.0\.1: .*ECONNREFUSED/,
      );
      await host.kubectlOk(["delete", "vmi", "probed"]);
    },
  );

  await step("a host disk that is none is refused with its cure", async () => {
    await host.kubectlOk(["apply", "-f", "-"], manifest.replaceAll(hostDisk, join(host.dataDir, "own")));
    await eventually("PB5072", async () => (await condition("reason")) === "PB5072");
    assert.match(await condition("message"), /is no regular file/);
    await host.kubectlOk(["delete", "vmi", NAME]);
  });

  await step("claims go with their images once no guest has them", async () => {
    await host.kubectlOk(["delete", "pvc", "--all"]);
    assert.deepEqual(await readdir(join(host.dataDir, "claims")), []);
  });
});

/** One of each that a manifest may ask for. */
const DEVICES = {
  rng: {},
  watchdog: { i6300esb: { action: "poweroff" } },
  inputs: [
    { name: "pen", type: "tablet", bus: "usb" },
    { name: "finger", type: "tablet", bus: "virtio" },
  ],
};

const claim = (name: string, storage: string): string =>
  stringify({
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage } } },
  });

const CLAIM_VOLUMES = [
  { name: "data", persistentVolumeClaim: { claimName: "data" } },
  { name: "scratched", ephemeral: { persistentVolumeClaim: { claimName: "golden" } } },
];

const RIVAL = guestManifest({
  name: "rival",
  devices: { disks: [{ name: "data", disk: { bus: "virtio" } }] },
  spec: { volumes: [CLAIM_VOLUMES[0]] },
});

const PROBED = guestManifest({
  name: "probed",
  annotations: { "kubevirt.io/placePCIDevicesOnRootComplex": "true" },
  // On the bus sata they take no place on PCI.
  devices: {
    ...DEVICES,
    disks: [
      { name: "seed", disk: { bus: "virtio" } },
      ...CLAIM_VOLUMES.map(({ name }) => ({ name, disk: { bus: "sata" } })),
    ],
  },
  ports: [{ name: "web", port: 80 }],
  spec: {
    volumes: [{ name: "seed", cloudInitNoCloud: { userData: LOOK_AGAIN } }, ...CLAIM_VOLUMES],
    readinessProbe: { tcpSocket: { port: "web" }, periodSeconds: 1, failureThreshold: 1 },
    // Answered by the test, so that it decides when the guest is dead; a daemon that is late finds nobody dead.
    livenessProbe: {
      tcpSocket: { host: "127.0.0.1", port: 8099 },
      periodSeconds: 1,
      timeoutSeconds: 30,
      failureThreshold: 2,
    },
  },
});

const KUBEVIRT = gatesManifest("HostDisk");

const base64 = (text: string): string => Buffer.from(text).toString("base64");

const OBJECTS = [
  { kind: "Secret", metadata: { name: "cloud" }, data: { userdata: base64(LOOK) } },
  { kind: "Secret", metadata: { name: "net" }, stringData: { networkData: "version: 2\n" } },
  { kind: "Secret", metadata: { name: "keys" }, stringData: { password: "s3cret" } },
  { kind: "ConfigMap", metadata: { name: "settings" }, data: { greeting: "hello\n" }, binaryData: { raw: "AQID" } },
]
  .map((object) => stringify({ apiVersion: "v1", ...object }))
  .join("---\n");

function ladenManifest(hostDisk: string): string {
  return guestManifest({
    name: NAME,
    firmware: { serial: "MACHINE-7" },
    devices: {
      ...DEVICES,
      disks: [
        { name: "seed", disk: { bus: "virtio" } },
        { name: "own", serial: "HOST-1", disk: { bus: "virtio" }, cache: "writethrough", errorPolicy: "report" },
        { name: "scratched", disk: { bus: "virtio" } },
        { name: "fixed", disk: { bus: "scsi" } },
        { name: "data", disk: { bus: "virtio" } },
        { name: "scratch", disk: { bus: "virtio" }, blockSize: { custom: { logical: 512, physical: 4096 } } },
        { name: "more", disk: { bus: "scsi" } },
        { name: "settings", cdrom: { bus: "sata" } },
        { name: "keys", disk: { bus: "sata" } },
        { name: "drive", cdrom: { bus: "scsi" } },
      ],
    },
    spec: {
      volumes: [
        { name: "seed", cloudInitNoCloud: { secretRef: { name: "cloud" }, networkDataSecretRef: { name: "net" } } },
        { name: "own", hostDisk: { path: hostDisk, type: "DiskOrCreate", capacity: "8Mi" } },
        ...CLAIM_VOLUMES,
        { name: "fixed", persistentVolumeClaim: { claimName: "golden", readOnly: true } },
        { name: "scratch", emptyDisk: { capacity: "10Mi" } },
        { name: "more", emptyDisk: { capacity: "2Mi" } },
        { name: "settings", configMap: { name: "settings" } },
        { name: "keys", secret: { secretName: "keys", volumeLabel: "keys" } },
        {
          name: "drive",
          cloudInitConfigDrive: { userData: "#cloud-config\n", networkDataBase64: base64('{"links":[]}') },
        },
      ],
    },
  });
}

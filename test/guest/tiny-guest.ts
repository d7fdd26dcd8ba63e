/**
 * A guest for the tests of QEMU alone: Debian's kernel and an initrd of busybox with a shell on the serial console,
 * without any network configuration. Made once, below `.cache/`.
 */
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";
import { type ArchiveEntry, cpioArchive } from "../../src/host/images/cpio.ts";
import { openDebianPackages } from "../../src/host/images/debian-packages.ts";
import { exclusively } from "../../src/host/images/exclusive.ts";
import { kernelElf } from "../../src/host/images/kernel-elf.ts";

const CACHE = fileURLToPath(new URL("../../.cache/tiny-guest", import.meta.url));

/** In the order to load them. */
const MODULES = [
  "virtio_ring",
  "virtio",
  "virtio_pci_legacy_dev",
  "virtio_pci_modern_dev",
  "virtio_pci",
  "failover",
  "net_failover",
  "virtio_net",
  "e1000",
  "e1000e",
  "mii",
  "8390",
  "ne2k-pci",
  "pcnet32",
  "8139too",
  "8139cp",
  "virtio_blk",
  "evdev",
  "button",
];

/** The line that the guest prints when its shell is about to start. */
export const READY = "TINY GUEST READY";

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in ${MODULES.join(" ")}; do insmod /modules/$module.ko; done
acpid -c /etc/acpi -l /dev/null
for nic in /sys/class/net/*; do
  [ -e $nic/device ] || continue
  ip link set \${nic##*/} up
  device=$(readlink -f $nic/device)
  case $device in */virtio*) device=\${device%/*};; esac
  echo "NIC $(cat $nic/address) \${device##*/} $(basename $(readlink $device/driver)) $(cat $nic/mtu)"
done
echo "${READY}"
while :; do setsid cttyhack sh; done
`;

export interface TinyGuest {
  readonly kernel: string;
  readonly initrd: string;
}

/**
 * Puts the guest into `folder`, where QEMU's user can read it, which cannot be said of a clone in somebody's home.
 *
 * It is made once; that needs the package archive.
 */
export async function tinyGuest(folder: string): Promise<TinyGuest> {
  fs.mkdirSync(CACHE, { recursive: true });
  return exclusively(`${CACHE}/lock`, async () => {
    const made = { kernel: `${CACHE}/vmlinux`, initrd: `${CACHE}/initrd-${fs.statSync(import.meta.filename).mtimeMs}` };
    if (!fs.existsSync(made.kernel) || !fs.existsSync(made.initrd)) await make(made.kernel, made.initrd);
    const here = { kernel: `${folder}/vmlinux`, initrd: `${folder}/initrd` };
    fs.copyFileSync(made.kernel, here.kernel);
    fs.copyFileSync(made.initrd, here.initrd);
    return here;
  });
}

async function make(kernel: string, initrd: string): Promise<void> {
  const work = fs.mkdtempSync(`${CACHE}/making-`);
  try {
    const packages = await openDebianPackages(`${CACHE}/packages`, () => {});
    const kernelPackage = await packages.dependency("linux-image-amd64", "linux-image-");
    await packages.unpack([kernelPackage, "busybox-static", "xz-utils"], work);
    const bzImage = fs.readFileSync(`${work}/boot/vmlinuz-${kernelPackage.slice("linux-image-".length)}`);
    fs.writeFileSync(`${work}/vmlinux`, await kernelElf(bzImage, `${work}/usr/bin/xz`), { mode: 0o644 });
    fs.writeFileSync(`${work}/initrd`, cpioArchive(tree(work)), { mode: 0o644 });
    for (const old of fs.readdirSync(CACHE)) if (old.startsWith("initrd-")) fs.rmSync(`${CACHE}/${old}`);
    fs.renameSync(`${work}/vmlinux`, kernel);
    fs.renameSync(`${work}/initrd`, initrd);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

function tree(work: string): ArchiveEntry[] {
  const found = fs.readdirSync(`${work}/lib/modules`, { recursive: true, encoding: "utf8" });
  const modules = MODULES.map((name) => {
    const path = found.find((candidate) => candidate.endsWith(`/${name}.ko`));
    if (path === undefined) throw new Error(`the kernel package has no module ${name}`);
    return { name, data: fs.readFileSync(`${work}/lib/modules/${path}`) };
  });
  const text = (content: string) => new TextEncoder().encode(content);
  return [
    ...["bin", "proc", "sys", "dev", "modules", "etc", "etc/acpi", "etc/acpi/PWRF"].map(
      (path): ArchiveEntry => ({ kind: "directory", path, mode: 0o755 }),
    ),
    { kind: "file", path: "init", mode: 0o755, data: text(INIT) },
    { kind: "file", path: "etc/acpi/PWRF/00000080", mode: 0o755, data: text("#!/bin/sh\npoweroff -f\n") },
    { kind: "file", path: "bin/busybox", mode: 0o755, data: fs.readFileSync(`${work}/bin/busybox`) },
    ...modules.map(({ name, data }): ArchiveEntry => ({ kind: "file", path: `modules/${name}.ko`, mode: 0o644, data })),
  ];
}

/**
 * A guest for the tests of QEMU alone: Debian's kernel and an initrd of busybox with a shell on the serial console,
 * without any network configuration. Made once, below `.cache/`.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { fileURLToPath } from "node:url";

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

/** Makes the guest, or finds it made. Needs the package archive the first time. */
export function tinyGuest(): TinyGuest {
  const kernel = `${CACHE}/vmlinuz`;
  const initrd = `${CACHE}/initrd-${fs.statSync(fileURLToPath(import.meta.url)).mtimeMs}`;
  if (fs.existsSync(kernel) && fs.existsSync(initrd)) return { kernel, initrd };
  fs.mkdirSync(CACHE, { recursive: true });
  const root = fs.mkdtempSync(`${CACHE}/making-`);
  try {
    unpackKernel(root);
    const boot = fs.readdirSync(`${root}/boot`).find((name) => name.startsWith("vmlinuz-"));
    if (boot === undefined) throw new Error("the kernel package has no kernel");
    makeInitrd(root, `${root}/initrd`);
    for (const old of fs.readdirSync(CACHE)) if (old.startsWith("initrd-")) fs.rmSync(`${CACHE}/${old}`);
    fs.renameSync(`${root}/boot/${boot}`, kernel);
    fs.renameSync(`${root}/initrd`, initrd);
    fs.chmodSync(kernel, 0o644);
    fs.chmodSync(initrd, 0o644);
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
  return { kernel, initrd };
}

function unpackKernel(root: string): void {
  const packed = (): string | undefined =>
    fs.readdirSync(CACHE).find((name) => name.startsWith("linux-image-") && name.endsWith(".deb"));
  if (packed() === undefined) {
    const depends = execFileSync("apt-cache", ["depends", "linux-image-amd64"], { encoding: "utf8" });
    const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (name === undefined) throw new Error("linux-image-amd64 names no kernel; run apt-get update");
    execFileSync("apt-get", ["download", name], { cwd: CACHE, stdio: "ignore" });
  }
  execFileSync("dpkg-deb", ["-x", `${CACHE}/${packed()}`, root]);
}

function makeInitrd(root: string, file: string): void {
  const tree = `${root}/initrd-tree`;
  for (const folder of ["bin", "proc", "sys", "dev", "modules", "etc/acpi/PWRF"]) {
    fs.mkdirSync(`${tree}/${folder}`, { recursive: true });
  }
  fs.copyFileSync("/bin/busybox", `${tree}/bin/busybox`);
  const modules = execFileSync("find", [`${root}/lib/modules`, "-name", "*.ko"], { encoding: "utf8" }).split("\n");
  for (const name of MODULES) {
    const path = modules.find((candidate) => candidate.endsWith(`/${name}.ko`));
    if (path !== undefined) fs.copyFileSync(path, `${tree}/modules/${name}.ko`);
  }
  fs.writeFileSync(`${tree}/init`, INIT, { mode: 0o755 });
  fs.writeFileSync(`${tree}/etc/acpi/PWRF/00000080`, "#!/bin/sh\npoweroff -f\n", { mode: 0o755 });
  execFileSync("sh", ["-c", `cd "${tree}" && find . | cpio -o -H newc --quiet | gzip -1 > "${file}"`]);
}

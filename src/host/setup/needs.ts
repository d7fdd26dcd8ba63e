import { kernelNeeds } from "./kernel-needs.ts";
import type { Cure, Need } from "./need.ts";

const debianPackage = (name: string): Cure => ({ kind: "package", name });

/** QEMU's own user. */
export const qemuUser = "patchbay-qemu";

/** Where Debian's containernetworking-plugins puts the CNI plugins. */
export const cniPluginFolder = "/usr/lib/cni";

const cniPlugin = (name: string, why: string): Need => ({
  name: `cni ${name}`,
  why,
  probe: { kind: "file", anyOf: [`${cniPluginFolder}/${name}`, `/opt/cni/bin/${name}`] },
  cure: debianPackage("containernetworking-plugins"),
  neededBy: ["up"],
  level: "required",
});

/**
 * What a machine needs, in the order in which it is shown: programs and files first, then the kernel.
 *
 * A package is named once for every thing of it that is really used, because the probes look for the thing.
 */
export const needs: readonly Need[] = [
  {
    name: "qemu-system-x86_64",
    why: "runs the guests",
    probe: { kind: "program", name: "qemu-system-x86_64" },
    cure: debianPackage("qemu-system-x86"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "SeaBIOS",
    why: "the guests' firmware",
    probe: { kind: "file", anyOf: ["/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin"] },
    cure: debianPackage("seabios"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "boot ROM for -kernel",
    why: "starts a guest from a kernel and an initrd",
    probe: { kind: "file", anyOf: ["/usr/share/qemu/linuxboot_dma.bin"] },
    cure: debianPackage("qemu-system-data"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "iPXE ROMs",
    why: "QEMU loads them with every NIC model that has one",
    probe: { kind: "file", anyOf: ["/usr/lib/ipxe/qemu/efi-virtio.rom", "/usr/share/qemu/efi-virtio.rom"] },
    cure: debianPackage("ipxe-qemu"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "EFI firmware",
    why: "starts guests that boot by EFI; the others do without",
    probe: { kind: "file", anyOf: ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd"] },
    cure: debianPackage("ovmf"),
    // Not for `up`, which needs it for no other guest.
    neededBy: ["tests"],
    level: "required",
  },
  {
    name: "qemu-img",
    why: "makes and converts disks",
    probe: { kind: "program", name: "qemu-img" },
    cure: debianPackage("qemu-utils"),
    neededBy: ["up", "image build-guest", "image build-debian"],
    level: "required",
  },
  {
    name: "libnftables.so.1",
    why: "writes the pods' rules without a process for each",
    probe: { kind: "library", soname: "libnftables.so.1" },
    cure: debianPackage("libnftables1"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "nft",
    why: "CNI's bridge plugin calls it; the tests read rules with it",
    probe: { kind: "program", name: "nft" },
    cure: debianPackage("nftables"),
    neededBy: ["up", "tests"],
    level: "required",
  },
  cniPlugin("bridge", "the pod network"),
  cniPlugin("host-local", "the pods' addresses"),
  cniPlugin("portmap", "host ports of the pod network"),
  {
    name: "iptables",
    why: "CNI's bridge and portmap plugins masquerade and forward with it",
    probe: { kind: "program", name: "iptables" },
    cure: debianPackage("iptables"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "passt",
    why: "the passt binding",
    probe: { kind: "program", name: "passt" },
    cure: debianPackage("passt"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "unshare and setpriv",
    why: "the slirp binding, whose QEMU sees the pod's resolv.conf",
    probe: { kind: "program", name: "setpriv" },
    cure: debianPackage("util-linux"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "mount",
    why: "the slirp binding, whose QEMU sees the pod's resolv.conf",
    probe: { kind: "program", name: "mount" },
    cure: debianPackage("mount"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: qemuUser,
    why: "the user without rights that QEMU runs as",
    probe: { kind: "user", name: qemuUser },
    cure: {
      kind: "command",
      argv: ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", qemuUser],
    },
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "skopeo",
    why: "brings images from registries",
    probe: { kind: "program", name: "skopeo" },
    cure: debianPackage("skopeo"),
    neededBy: ["image pull"],
    level: "required",
  },
  {
    name: "apt-get",
    why: "fetches Debian's kernel for the test guest",
    probe: { kind: "program", name: "apt-get" },
    cure: debianPackage("apt"),
    neededBy: ["image build-guest", "image build-debian"],
    level: "required",
  },
  {
    name: "dpkg-deb",
    why: "unpacks what was fetched for the test guest",
    probe: { kind: "program", name: "dpkg-deb" },
    cure: debianPackage("dpkg"),
    neededBy: ["image build-guest", "image build-debian"],
    level: "required",
  },
  {
    name: "mkfs.ext4",
    why: "makes the file system of the Debian guest",
    probe: { kind: "program", name: "mkfs.ext4" },
    cure: debianPackage("e2fsprogs"),
    neededBy: ["image build-debian"],
    level: "required",
  },
  {
    name: "tar",
    why: "unpacks image archives",
    probe: { kind: "program", name: "tar" },
    cure: debianPackage("tar"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "busybox (static)",
    why: "small guests and DHCP clients of the tests",
    probe: { kind: "static-program", name: "busybox" },
    cure: debianPackage("busybox-static"),
    neededBy: ["tests"],
    level: "required",
  },
  {
    name: "sysctl",
    why: "sets up the hosts of the tests and the bench",
    probe: { kind: "program", name: "sysctl" },
    cure: debianPackage("procps"),
    neededBy: ["tests"],
    level: "required",
  },
  {
    name: "cpio",
    why: "packs the initrd of the tests' small guests",
    probe: { kind: "program", name: "cpio" },
    cure: debianPackage("cpio"),
    neededBy: ["tests"],
    level: "required",
  },
  {
    name: "ip",
    why: "the default pod network sets addresses with it; shows what was built",
    probe: { kind: "program", name: "ip" },
    cure: debianPackage("iproute2"),
    neededBy: ["up", "tests"],
    level: "required",
  },
  {
    name: "kubectl",
    why: "the client of the API; any version in PATH will do",
    probe: { kind: "program", name: "kubectl" },
    cure: debianPackage("kubernetes-client"),
    neededBy: ["kubectl", "tests"],
    level: "required",
  },
  {
    name: "diff",
    why: "kubectl diff calls it",
    probe: { kind: "program", name: "diff" },
    cure: debianPackage("diffutils"),
    neededBy: ["kubectl"],
    level: "required",
  },
  ...kernelNeeds,
];

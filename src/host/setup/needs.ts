import type { Probe } from "./probes.ts";

/** How a need is met. */
export type Cure =
  | { readonly kind: "package"; readonly name: string }
  | { readonly kind: "command"; readonly argv: readonly [string, ...string[]] }
  | { readonly kind: "advice"; readonly text: string };

/** Commands of Patchbay that need something; `tests` stands for `npm test`. */
export type NeededBy = "up" | "image build-guest" | "image build-debian" | "image pull" | "kubectl" | "tests";

/** One thing that a machine must have, or should have. */
export interface Need {
  /** Short and unique: a program's, library's or kernel feature's name. */
  readonly name: string;
  readonly why: string;
  readonly probe: Probe;
  readonly cure: Cure;
  readonly neededBy: readonly [NeededBy, ...NeededBy[]];
  /** `useful`: something works less well or less fast without it; its absence is told and fails nothing. */
  readonly level: "required" | "useful";
}

const kernel = (option: string): Cure => ({
  kind: "advice",
  text: `a kernel with ${option}; in a container, the host's kernel and the rights to use it`,
});

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

/** What document 003 recommends for passt on the node: told, and left to who runs the machine. */
const passtSetting = (key: string, value: string, why: string): Need => ({
  name: key.replaceAll("/", "."),
  why,
  probe: { kind: "sysctl", key, atLeast: value },
  cure: { kind: "advice", text: `sysctl -w ${key.replaceAll("/", ".")}=${value}` },
  neededBy: ["up"],
  level: "useful",
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
  {
    name: "/dev/net/tun",
    why: "the guests' taps",
    probe: { kind: "device", path: "/dev/net/tun" },
    cure: kernel("CONFIG_TUN (modprobe tun)"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "network namespaces",
    why: "every pod is one",
    probe: { kind: "kernel", feature: "netns" },
    cure: kernel("CONFIG_NET_NS, and root"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "tap devices",
    why: "the guests' NICs",
    probe: { kind: "kernel", feature: "tap" },
    cure: kernel("CONFIG_TUN"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "veth",
    why: "joins a pod with the machine",
    probe: { kind: "kernel", feature: "veth" },
    cure: kernel("CONFIG_VETH"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "bridge",
    why: "the pod network and the bridge binding",
    probe: { kind: "kernel", feature: "bridge" },
    cure: kernel("CONFIG_BRIDGE"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "nftables nat, IPv4",
    why: "the masquerade binding",
    probe: { kind: "kernel", feature: "nat4" },
    cure: kernel("CONFIG_NF_TABLES_IPV4, CONFIG_NFT_NAT and CONFIG_NFT_MASQ"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "nftables nat, IPv6",
    why: "the masquerade binding",
    probe: { kind: "kernel", feature: "nat6" },
    cure: kernel("CONFIG_NF_TABLES_IPV6, CONFIG_NFT_NAT and CONFIG_NFT_MASQ"),
    neededBy: ["up"],
    level: "required",
  },
  {
    name: "nftables for bridges",
    why: "the bridge binding, which keeps its DHCP off the network",
    probe: { kind: "kernel", feature: "nftBridge" },
    cure: kernel("CONFIG_NF_TABLES_BRIDGE"),
    neededBy: ["up"],
    level: "useful",
  },
  {
    name: "nftables forwarding of frames",
    why: "the bridge binding on links of CNI's macvlan plugin",
    probe: { kind: "kernel", feature: "nftForward" },
    cure: kernel("CONFIG_NF_TABLES_NETDEV and CONFIG_NFT_FWD_NETDEV"),
    neededBy: ["up"],
    level: "useful",
  },
  {
    name: "macvlan and macvtap",
    why: "the macvtap binding, and networks of CNI's macvlan plugin",
    probe: { kind: "kernel", feature: "macvtap" },
    cure: kernel("CONFIG_MACVTAP"),
    neededBy: ["up"],
    level: "useful",
  },
  {
    name: "VLAN",
    why: "networks of CNI's vlan plugin",
    probe: { kind: "kernel", feature: "vlan" },
    cure: kernel("CONFIG_VLAN_8021Q"),
    neededBy: ["up"],
    level: "useful",
  },
  {
    name: "ipvlan",
    why: "networks of CNI's ipvlan plugin",
    probe: { kind: "kernel", feature: "ipvlan" },
    cure: kernel("CONFIG_IPVLAN"),
    neededBy: ["up"],
    level: "useful",
  },
  {
    name: "IOMMU",
    why: "the sriov binding, which hands devices over to guests",
    probe: { kind: "file", anyOf: ["/sys/kernel/iommu_groups/0"] },
    cure: {
      kind: "advice",
      text: "VT-d or AMD-Vi switched on in the firmware, and intel_iommu=on for the kernel where it is Intel's",
    },
    neededBy: ["up"],
    level: "useful",
  },
  passtSetting("net/core/rmem_max", "33554432", "faster receiving by the passt binding"),
  passtSetting("net/core/wmem_max", "33554432", "faster sending by the passt binding"),
  passtSetting("fs/file-max", "9223372036854775807", "many VMs of the passt binding without ports"),
];

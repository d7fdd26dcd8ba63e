import type { Cure, Need } from "./need.ts";

const kernel = (option: string): Cure => ({
  kind: "advice",
  text: `a kernel with ${option}; in a container, the host's kernel and the rights to use it`,
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

/** What a machine's kernel must have or do, and the settings that passt goes better with. */
export const kernelNeeds: readonly Need[] = [
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

import type { NicContext, NicWiring } from "../bindings/binding.ts";
import { isPrimary } from "../networks/network.ts";
import type { PodFacts } from "../wiring/facts.ts";

/** A warning of KubeVirt's documentation that applies to a NIC, by the number of the statement. */
export interface Note {
  readonly id: string;
  readonly statement: string;
}

/** All that a warning may depend on. */
interface Noted {
  readonly nic: NicContext;
  readonly wired: NicWiring;
  readonly facts: PodFacts;
  readonly dedicatedCpus: boolean;
}

interface Warning extends Note {
  readonly applies: (noted: Noted) => boolean;
}

const bound =
  (...fields: readonly NicContext["binding"][]) =>
  ({ nic }: Noted): boolean =>
    fields.includes(nic.binding);
/** True where a binding plugin makes the NIC, and its model and queues with it. */
const plugged = ({ wired }: Pick<Noted, "wired">): boolean => wired.nic.attachment.kind === "plugin";
const virtio = ({ wired }: Noted): boolean => !plugged({ wired }) && wired.nic.model === "virtio";
const emulated = ({ wired }: Noted): boolean =>
  !plugged({ wired }) && wired.nic.model !== "virtio" && wired.nic.model !== "vfio-pci";
const multiqueue = ({ wired }: Noted): boolean => !plugged({ wired }) && wired.nic.queues > 1;
const primary = ({ nic }: Noted): boolean => isPrimary(nic.network, nic.podInterface);
const passt = bound("passt", "passtBinding");
const bridgeOn =
  (wanted: string) =>
  ({ nic, facts }: Noted): boolean =>
    nic.binding === "bridge" && facts.links.some(({ name, kind }) => name === nic.podInterface && kind === wanted);

/** In the order of telling. The numbers are those of the reference's checklist, the newest page's where several say it. */
const WARNINGS: readonly Warning[] = [
  {
    id: "S3.9",
    statement: "The definition of a default network has to give the pod an address.",
    applies: ({ nic }) => nic.network.kind === "multus" && nic.network.default,
  },
  {
    id: "S2.22",
    statement: "Genie wants to be the first in a node's CNI folder, and so does Multus: a cluster has one of them.",
    applies: ({ nic }) => nic.network.kind === "genie",
  },
  {
    id: "S3.18",
    statement:
      "The MAC is told to the CNI plugin, which has to set it: bridge and ovs do, flannel and ptp with the plugin tuning behind them, sriov needs no help.",
    applies: ({ nic }) => nic.mac !== undefined && !isPrimary(nic.network, nic.podInterface),
  },
  {
    id: "S3.19",
    statement: "Where the plugin tuning sets it: not on every network, OKD's own (SDN) for one.",
    applies: ({ nic }) =>
      nic.mac !== undefined && nic.binding === "bridge" && !isPrimary(nic.network, nic.podInterface),
  },
  {
    id: "S3.100",
    statement: "Against forged MACs there is the check of the CNI plugin: macspoofchk of bridge, spoofchk of sriov.",
    applies: ({ nic }) =>
      nic.network.kind === "multus" && !nic.network.default && ["bridge", "sriov"].includes(nic.binding),
  },
  {
    id: "S3.104",
    statement: "macspoofchk of the plugin bridge needs nftables and its program nft on the node.",
    applies: ({ nic }) => nic.binding === "bridge" && nic.network.kind === "multus" && !nic.network.default,
  },
  {
    id: "S3.11",
    statement:
      "On KubeVirt a bridge on macvlan does not work (its issue 5483): such a link takes frames for one MAC only. Patchbay joins it by nftables rules instead.",
    applies: bridgeOn("macvlan"),
  },
  {
    id: "S3.11",
    statement:
      "On KubeVirt a bridge on ipvlan does not work (its issue 7001): such a link takes frames for its own addresses only. Patchbay joins it by nftables rules instead; the guest hears what is for the pod's addresses, and what it would take beside them, such as an IPv6 address from a router, nobody reaches.",
    applies: bridgeOn("ipvlan"),
  },
  {
    id: "S3.40",
    statement: "The pod has no address of its own any more: what counts on one in the pod, such as Istio, may fail.",
    applies: (noted) => bound("bridge")(noted) && primary(noted),
  },
  {
    id: "S3.42",
    statement:
      "A bridge on the pod network forbids live migration, and some networks drop packets from a MAC that they did not give: masquerade is the better default. The annotation kubevirt.io/allow-pod-bridge-network-live-migration lifts the first.",
    applies: ({ nic }) => nic.binding === "bridge" && nic.network.kind === "pod",
  },
  {
    id: "S3.43",
    statement: "slirp carries TCP and UDP, not ICMP: ping does not work.",
    applies: bound("slirp"),
  },
  {
    id: "S3.45",
    statement:
      "Where no plugin of the name slirp is registered, KubeVirt 1.1 takes the sidecar image quay.io/kubevirt/network-slirp-binding:20230830_638c60fc8.",
    applies: bound("slirp"),
  },
  {
    id: "S3.47",
    statement: "A cluster without a way out needs a copy of that image in a registry of its own.",
    applies: bound("slirp"),
  },
  {
    id: "S3.46",
    statement:
      "From KubeVirt 1.1 on slirp is a binding plugin, from 1.2 on one that has to be registered; 1.3 refuses the field.",
    applies: bound("slirp"),
  },
  {
    id: "S3.50",
    statement:
      "Live migration changes the pod's address, and on KubeVirt a restart of the VM does too: give away a Service instead. Here a VM asks for the address that it had.",
    applies: bound("masquerade"),
  },
  {
    id: "S3.54",
    statement:
      "On KubeVirt the guest's IPv6 address and route have to be set by hand, by cloud-init for example; Patchbay advertises them.",
    applies: ({ nic, wired }) => nic.binding === "masquerade" && wired.services?.ra !== undefined,
  },
  {
    id: "S3.57",
    statement:
      "On KubeVirt a guest with IPv6 alone is told no search domains (its issue 7184); Patchbay's DHCPv6 and router advertisements tell them.",
    applies: ({ nic, wired }) =>
      nic.binding === "masquerade" && wired.services?.ra !== undefined && wired.services.dhcp4 === undefined,
  },
  {
    id: "S3.58",
    statement: "KubeVirt 1.2 deprecates this field and 1.3 refuses it: use passtBinding, or the plugin.",
    applies: bound("passt"),
  },
  {
    id: "S3.68",
    statement: "passt wants net.core.rmem_max and net.core.wmem_max of 33554432 on the node.",
    applies: passt,
  },
  {
    id: "S3.69",
    statement:
      "Without ports passt opens a socket for every port, about 262144 a VM: many such VMs want fs.file-max of 9223372036854775807.",
    applies: (noted) => passt(noted) && noted.nic.ports.length === 0,
  },
  {
    id: "S3.87",
    statement: "The guest needs the driver of the card: some, such as Mellanox's, are not in every image.",
    applies: bound("sriov"),
  },
  {
    id: "S3.88",
    statement: "Dedicated CPUs need the CPU manager on the node.",
    applies: (noted) => bound("sriov")(noted) && noted.dedicatedCpus,
  },
  {
    id: "S3.89",
    statement: "KubeVirt 1.2 deprecates this field and 1.3 refuses it: use the plugin macvtap.",
    applies: bound("macvtap"),
  },
  {
    id: "S3.92",
    statement: "On KinD, nodes need the host's /dev mounted.",
    applies: bound("macvtap"),
  },
  {
    id: "S3.93",
    statement: "Live migration breaks its connections (KubeVirt's issue 5912).",
    applies: bound("macvtap"),
  },
  {
    id: "S3.99",
    statement: "A guest on a macvtap migrates only with a macAddress in the manifest.",
    applies: ({ nic }) => nic.binding === "macvtap" && nic.mac === undefined,
  },
  {
    id: "S3.23",
    statement: "A guest without virtio drivers sees no such NIC: use the model e1000 for it.",
    applies: virtio,
  },
  {
    id: "S2.37",
    statement: "Windows needs the newest virtio driver to take over the MTU.",
    applies: virtio,
  },
  {
    id: "S3.27",
    statement: "Windows ignores the MTU that DHCP tells: on a NIC that is not virtio it has to be set by hand (netsh).",
    applies: emulated,
  },
  {
    id: "S3.76",
    statement: "A guest has about 200 MSI vectors for all its queues and devices.",
    applies: multiqueue,
  },
  {
    id: "S3.77",
    statement: "More queues help what comes in; small TCP packets that go out may get slower.",
    applies: multiqueue,
  },
  { id: "S3.78", statement: "More queues cost more CPU.", applies: multiqueue },
  {
    id: "S3.79",
    statement: "The guest has to switch the queues on (ethtool -L); until then their vectors are wasted.",
    applies: multiqueue,
  },
  {
    id: "S3.80",
    statement: "Where the guest has as many NICs as vCPUs, more queues a NIC are of little use.",
    applies: multiqueue,
  },
];

/** The documents' warnings that apply to a NIC. */
export function notesOf(noted: Noted): readonly Note[] {
  return WARNINGS.filter(({ applies }) => applies(noted)).map(({ id, statement }) => ({ id, statement }));
}

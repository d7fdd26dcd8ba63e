import type { NftTable } from "./nft.ts";

/**
 * All that Patchbay does to one pod's network, as plain data.
 *
 * `kernel` is made before the guest starts and is silent (*prepare*); `announcements` and `services` belong to
 * *activate*: only the pod whose guest runs sends and answers.
 */
export interface Wiring {
  readonly podUid: string;
  readonly kernel: KernelState;
  /** What QEMU gets, in the order of the manifest's interfaces. */
  readonly nics: readonly GuestNic[];
  readonly services: readonly NicServices[];
  readonly announcements: readonly Announcement[];
}

/** The part of a namespace that the wiring decides. What it does not name is none of its business. */
export interface KernelState {
  readonly links: readonly WiredLink[];
  readonly addresses: readonly WiredAddress[];
  readonly localRoutes: readonly LocalRoute[];
  readonly sysctls: readonly Sysctl[];
  readonly tables: readonly NftTable[];
}

/** A link that Patchbay creates in the pod, or one that it found there and changes. */
export type WiredLink = TapLink | BridgeLink | StandInLink | PodLink;

/** Lives exactly as long as somebody holds its fds. */
export interface TapLink {
  readonly kind: "tap";
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** Number of queue pairs; 1 opens a single-queue tap. */
  readonly queues: number;
  /** The bridge that it is a port of. */
  readonly master?: string;
}

export interface BridgeLink {
  readonly kind: "bridge";
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
}

/** Keeps the name, MAC and addresses of a link that a guest took over, for CNI and whoever else looks; it is down. */
export interface StandInLink {
  readonly kind: "dummy";
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
}

/** A link that the pod's network made, as it is to be: up, and without addresses where it has another name than before. */
export interface PodLink {
  readonly kind: "pod";
  readonly name: string;
  /** What the network called it. */
  readonly from: string;
  readonly mac: string;
  /** The network's own. */
  readonly mtu: number;
  readonly master?: string;
}

export interface WiredAddress {
  readonly link: string;
  /** Address with prefix length in canonical text. */
  readonly cidr: string;
}

/** A destination that is the pod's own also when it comes in by that link (a route of type `local`, table `local`). */
export interface LocalRoute {
  readonly link: string;
  /** With prefix length. */
  readonly destination: string;
}

export interface Sysctl {
  /** With slashes below /proc/sys: `net/ipv4/ip_forward`. */
  readonly key: string;
  readonly value: string;
}

/** What QEMU is given for one NIC. */
export interface GuestNic {
  readonly name: string;
  readonly attachment: Attachment;
  readonly mac: string;
  /** `vfio-pci` for a device that is handed over as it is. */
  readonly model: NicModel | "vfio-pci";
  readonly mtu: number;
  readonly queues: number;
  readonly bootOrder?: number;
  readonly acpiIndex?: number;
  /** Guest PCI address as the manifest has it. */
  readonly pciAddress?: string;
  readonly linkUp: boolean;
}

export type Attachment =
  | { readonly kind: "tap"; readonly device: string; readonly queues: number }
  | { readonly kind: "macvtap"; readonly device: string; readonly queues: number }
  | UserNetwork
  | PasstStream
  /** PCI address of the host's device. */
  | { readonly kind: "vfio"; readonly pci: string }
  /** A binding plugin plugs the NIC. */
  | { readonly kind: "plugin"; readonly plugin: string };

/** QEMU's own user network (slirp): QEMU's sockets in the pod speak for the guest. */
export interface UserNetwork {
  readonly kind: "user";
  /** IPv4 network of the guest; the next three are in it. */
  readonly cidr: string;
  readonly gateway: string;
  readonly guest: string;
  /** Where the guest asks for names: QEMU passes it on to the first of `nameservers` of the family. */
  readonly nameserver: string;
  /** The families that the guest has. */
  readonly families: readonly (4 | 6)[];
  /** QEMU listens for them by IPv4 alone. */
  readonly forwards: readonly Forward[];
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
}

/** A socket between QEMU and a passt process in the pod, which speaks for the guest. */
export interface PasstStream {
  readonly kind: "stream";
  readonly process: "passt";
  /** The pod's link whose addresses the guest is given. */
  readonly device: string;
  /** The families that the guest has. */
  readonly families: readonly (4 | 6)[];
  readonly ports: PasstPorts;
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
}

/** The ports that passt listens on, of each protocol. */
export interface PasstPorts {
  readonly tcp: PasstListens;
  readonly udp: PasstListens;
}

/** `all`: those that are not ephemeral, 1 to {@link PASST_LAST_PORT}. */
export type PasstListens = "all" | readonly PortRun[];

/** The last port that passt takes for one that may be listened on by itself: below those of RFC 6335, section 6. */
export const PASST_LAST_PORT = 49151;

/** A port, or a run of them that ends with `last`. */
export interface PortRun {
  readonly port: number;
  readonly last?: number;
}

/** A port that is let in, or a run of them. */
export interface Forward extends PortRun {
  readonly protocol: "tcp" | "udp";
}

export type NicModel = "virtio" | "e1000" | "e1000e" | "igb" | "ne2k_pci" | "pcnet" | "rtl8139";

/** What is served to the guest behind one device of the pod. */
export interface NicServices {
  readonly nic: string;
  /** Device in the pod that the guest's frames arrive on. */
  readonly device: string;
  /** MAC that the servers answer from. */
  readonly mac: string;
  readonly dhcp4?: Dhcp4Service;
  readonly dhcp6?: Dhcp6Service;
  readonly ra?: RouterAdvertisementService;
}

/** DHCPv4 for one client (RFC 2131). Addresses are dotted text. */
export interface Dhcp4Service {
  readonly serverAddress: string;
  readonly clientAddress: string;
  readonly prefixLength: number;
  /** Where set, only this client hardware address is served. */
  readonly clientMac?: string;
  readonly leaseSeconds: number;
  readonly mtu: number;
  readonly routers: readonly string[];
  readonly dnsServers: readonly string[];
  readonly hostName?: string;
  readonly domainName?: string;
  readonly searchDomains: readonly string[];
  readonly ntpServers: readonly string[];
  readonly tftpServerName?: string;
  readonly bootFileName?: string;
  readonly privateOptions: readonly { readonly option: number; readonly value: string }[];
  /** RFC 3442, in the order to send; a default route is `0.0.0.0/0`. */
  readonly classlessRoutes: readonly { readonly destination: string; readonly gateway: string }[];
}

/** DHCPv6 for one client (RFC 8415). Addresses are RFC 5952 text. */
export interface Dhcp6Service {
  /** The server's DUID-LL is made of this MAC. */
  readonly serverMac: string;
  readonly clientAddress: string;
  /** Preferred and valid lifetime. */
  readonly leaseSeconds: number;
  /** Told to a client that asks for its name. */
  readonly hostName?: string;
  readonly dnsServers: readonly string[];
  readonly searchDomains: readonly string[];
}

/** Router advertisements (RFC 4861, RFC 8106). */
export interface RouterAdvertisementService {
  readonly mac: string;
  /** Link-local source address; the device has it. */
  readonly linkLocal: string;
  /** On-link prefix, advertised without the autonomous flag. */
  readonly prefix: string;
  readonly mtu: number;
  readonly managed: boolean;
  readonly otherConfig: boolean;
  /** Seconds, at most 9000; 0: not a default router. */
  readonly routerLifetime: number;
  readonly dnsServers: readonly string[];
  readonly searchDomains: readonly string[];
}

/** A gratuitous ARP or an unsolicited neighbour advertisement on activation. */
export interface Announcement {
  readonly device: string;
  readonly address: string;
  readonly mac: string;
}

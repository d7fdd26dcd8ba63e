import { type Cidr, parseCidr } from "../addresses/cidr.ts";
import { formatIp } from "../addresses/ip.ts";
import { isJsonObject } from "../json.ts";
import { readJson } from "../networks/cni-json.ts";

/** What is in a pod's network namespace, read once before Patchbay changes it and kept under the pod's UID. */
export interface PodFacts {
  readonly podUid: string;
  /** Every link but `lo`, in index order. */
  readonly links: readonly LinkFacts[];
  readonly routes: readonly RouteFacts[];
  readonly resolver: Resolver;
  /** The annotation `k8s.v1.cni.cncf.io/network-status`, parsed; in CNI order, the default network first. */
  readonly networkStatus: readonly NetworkStatus[];
  /** Devices that were claimed for networks of the pod. */
  readonly devices?: readonly ClaimedDevice[];
}

/** A PCI device of the host that one network of the pod hands over. */
export interface ClaimedDevice {
  /** Name of the network in the manifest. */
  readonly network: string;
  /** `0000:81:02.0` on the host. */
  readonly pci: string;
  readonly mac?: string;
  readonly mtu?: number;
}

export interface LinkFacts {
  readonly name: string;
  /** Kernel kind (`veth`, `macvlan`, …); empty for a physical device. */
  readonly kind: string;
  /** `aa:bb:cc:dd:ee:ff`, lower case. */
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** In kernel order; link-local ones included. */
  readonly addresses: readonly AddressFacts[];
}

export interface AddressFacts {
  /** Address with its prefix length, canonical text: `10.0.2.2/24`, `fd10:0:2::2/120`. */
  readonly cidr: string;
  readonly scope: "global" | "site" | "link" | "host";
}

export interface RouteFacts {
  readonly family: 4 | 6;
  /** Destination; `0.0.0.0/0` or `::/0` for a default route. */
  readonly destination: string;
  readonly gateway?: string;
  readonly device: string;
  readonly metric?: number;
  /** Preferred source address. */
  readonly source?: string;
}

/** The pod's resolv.conf, as resolv.conf(5) reads it. */
export interface Resolver {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** One element of Multus' network-status annotation. */
export interface NetworkStatus {
  readonly name: string;
  readonly interface?: string;
  readonly ips?: readonly string[];
  readonly mac?: string;
  readonly mtu?: number;
  readonly default?: boolean;
  readonly gateway?: readonly string[];
  readonly dns?: Readonly<Record<string, unknown>>;
}

/** The addresses of a link that others can reach, of one family, in kernel order. */
export function globalAddresses(link: LinkFacts, family: 4 | 6): readonly Cidr[] {
  return link.addresses
    .filter(({ scope }) => scope === "global" || scope === "site")
    .flatMap(({ cidr }) => parseCidr(cidr) ?? [])
    .filter((cidr) => cidr.family === family);
}

/** The addresses of the pod's link of that name that others can reach, IPv4 first. */
export function podAddresses(facts: PodFacts, podInterface: string): readonly string[] {
  const link = facts.links.find(({ name }) => name === podInterface);
  if (link === undefined) return [];
  return [...globalAddresses(link, 4), ...globalAddresses(link, 6)].map(({ address }) => formatIp(address));
}

/** Reads facts that were written as JSON; undefined for what are none. */
export function parsePodFacts(text: string): PodFacts | undefined {
  const reading = readJson(text);
  if ("problem" in reading || !isJsonObject(reading.value)) return undefined;
  const { podUid, links, routes, resolver, networkStatus } = reading.value;
  const known =
    typeof podUid === "string" && isJsonObject(resolver) && [links, routes, networkStatus].every(Array.isArray);
  return known ? (reading.value as unknown as PodFacts) : undefined;
}

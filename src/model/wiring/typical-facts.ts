import { formatCidr, networkOf, parseCidr } from "../addresses/cidr.ts";
import type { NicContext } from "../bindings/binding.ts";
import type { CniNetwork, CniPlugin } from "../networks/cni-config.ts";
import { type FirstLease, firstLease } from "../networks/ipam.ts";
import { isPrimary, type NicNetwork } from "../networks/network.ts";
import { PRIMARY_INTERFACE, tapName } from "../networks/pod-interface.ts";
import { podResolver, type ResolverRequest } from "../networks/resolver.ts";
import type { AddressFacts, ClaimedDevice, LinkFacts, PodFacts, RouteFacts } from "./facts.ts";

/** A dual-stack pod with one link, as a cluster network usually makes it. */
export const typicalFacts: PodFacts = {
  podUid: "00000000-0000-0000-0000-000000000000",
  links: [
    {
      name: PRIMARY_INTERFACE,
      kind: "veth",
      mac: "02:00:00:00:00:01",
      mtu: 1500,
      up: true,
      addresses: [
        { cidr: "10.244.0.5/24", scope: "global" },
        { cidr: "fd10:244::5/64", scope: "global" },
        { cidr: "fe80::1234/64", scope: "link" },
      ],
    },
  ],
  routes: [
    { family: 4, destination: "0.0.0.0/0", gateway: "10.244.0.1", device: PRIMARY_INTERFACE },
    { family: 4, destination: "10.244.0.0/24", device: PRIMARY_INTERFACE, source: "10.244.0.5" },
    { family: 6, destination: "fd10:244::/64", device: PRIMARY_INTERFACE },
    { family: 6, destination: "::/0", gateway: "fd10:244::1", device: PRIMARY_INTERFACE },
  ],
  resolver: {
    nameservers: ["10.96.0.10", "fd10:96::a"],
    search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    options: ["ndots:5"],
  },
  networkStatus: [],
};

/** What a VMI says of its pod's name servers. */
export type TypicalDns = Pick<ResolverRequest, "dnsPolicy" | "dnsConfig" | "namespace">;

/** What a pod of the policy Default has. */
const TYPICAL_HOST_RESOLV_CONF = "nameserver 192.0.2.53\n";

/** The CNI configuration by which a network is made, where it is known. */
export type ConfigOf = (network: NicNetwork) => CniNetwork | undefined;

const TYPICAL_MTU = 1500;
/** What an IPv4 link can have (RFC 791) and what a tap can. */
const LEAST_MTU = 68;
const MOST_MTU = 65_521;
/** The link that a CNI plugin leaves in the pod, where it is no veth. */
const LINK_KINDS: Readonly<Record<string, string>> = {
  macvlan: "macvlan",
  ipvlan: "ipvlan",
  macvtap: "macvtap",
  vlan: "vlan",
  tap: "tun",
  "host-device": "",
};

/**
 * The facts of a pod with these NICs as a cluster usually makes it: what `plan` and `explain` go by where no pod exists.
 *
 * The primary network is dual stack; a further one has what its CNI configuration says, where it is known, and else a
 * veth without addresses.
 */
export function factsFor(nics: readonly NicContext[], configOf: ConfigOf, dns: TypicalDns = {}): PodFacts {
  const macs = standInMacs(nics);
  const made = nics.map((nic, index) => madeFor(nic, index, macs[index] ?? "", configOf));
  const links = made.flatMap(({ link, tap }) => [...(link === undefined ? [] : [link]), ...(tap ?? [])]);
  // The primary link comes first, whatever the manifest's order.
  links.sort((one, other) => Number(other.name === PRIMARY_INTERFACE) - Number(one.name === PRIMARY_INTERFACE));
  return {
    ...typicalFacts,
    links,
    routes: made.flatMap(({ routes }) => routes),
    resolver: podResolver({
      ...dns,
      namespace: dns.namespace ?? "default",
      hostResolvConf: TYPICAL_HOST_RESOLV_CONF,
      clusterDns: typicalFacts.resolver.nameservers,
    }),
    devices: made.flatMap(({ device }) => device ?? []),
  };
}

interface Made {
  readonly link?: LinkFacts;
  /** What a binding plugin makes beside it. */
  readonly tap?: readonly LinkFacts[];
  readonly routes: readonly RouteFacts[];
  readonly device?: ClaimedDevice;
}

/** A MAC for the link of each NIC, none of them one that a NIC of the manifest has. */
function standInMacs(nics: readonly NicContext[]): readonly string[] {
  const taken = new Set(nics.flatMap(({ mac }) => mac ?? []));
  let number = 0;
  return nics.map(() => {
    let mac: string;
    do {
      number += 1;
      mac = `02:00:00:00:${hex(number >> 8)}:${hex(number & 0xff)}`;
    } while (taken.has(mac));
    return mac;
  });
}

function madeFor(nic: NicContext, index: number, mac: string, configOf: ConfigOf): Made {
  const { network, podInterface } = nic;
  if (nic.binding === "sriov") {
    return { routes: [], device: { network: nic.name, pci: `0000:81:${hex(2 + (index >> 3))}.${index & 7}` } };
  }
  const config = configOf(network);
  const [primaryLink] = typicalFacts.links;
  if (config === undefined && isPrimary(network, podInterface) && primaryLink !== undefined) {
    return { link: { ...primaryLink, kind: kindOf(nic, undefined), mac }, routes: typicalFacts.routes };
  }
  const [main] = config?.plugins ?? [];
  const lease = main === undefined ? NOTHING : firstLease(main);
  const addresses = [
    ...lease.addresses.map((cidr): AddressFacts => ({ cidr, scope: "global" })),
    { cidr: `fe80::${(index + 1).toString(16)}/64`, scope: "link" } as const,
  ];
  const link: LinkFacts = {
    name: podInterface,
    kind: kindOf(nic, main),
    // CNI is told the manifest's MAC for secondary networks (reference 4.2).
    mac: isPrimary(network, podInterface) ? mac : (nic.mac ?? mac),
    mtu: mtuOf(config),
    up: true,
    addresses,
  };
  const makesTap = nic.plugin?.domainAttachmentType === "tap" && link.kind !== "tun" && link.kind !== "macvtap";
  return {
    link,
    ...(makesTap ? { tap: [{ ...link, name: tapName(podInterface), kind: "tun", addresses: [] }] } : {}),
    routes: routesOf(lease, podInterface),
  };
}

const NOTHING: FirstLease = { addresses: [], routes: [] };

function kindOf({ binding, plugin }: NicContext, main: CniPlugin | undefined): string {
  if (main !== undefined) return LINK_KINDS[main.type] ?? "veth";
  if (binding === "macvtap") return "macvtap";
  return plugin?.domainAttachmentType === "tap" ? "tun" : "veth";
}

/** The last plugin of the list that sets it has its way. */
function mtuOf(config: CniNetwork | undefined): number {
  const set = (config?.plugins ?? []).flatMap(({ config: { mtu } }) =>
    typeof mtu === "number" && Number.isInteger(mtu) && mtu >= LEAST_MTU && mtu <= MOST_MTU ? [mtu] : [],
  );
  return set.at(-1) ?? TYPICAL_MTU;
}

/** As the kernel lists them: default routes first. */
function routesOf({ addresses, routes }: FirstLease, device: string): readonly RouteFacts[] {
  const known = [
    ...routes,
    ...addresses.flatMap((address) => {
      const cidr = parseCidr(address);
      return cidr === undefined ? [] : [{ destination: formatCidr(networkOf(cidr)) }];
    }),
  ].map((route): RouteFacts => ({ family: route.destination.includes(":") ? 6 : 4, ...route, device }));
  const isDefault = ({ destination }: RouteFacts): boolean => parseCidr(destination)?.prefixLength === 0;
  return [...known.filter(isDefault), ...known.filter((route) => !isDefault(route))];
}

function hex(number: number): string {
  return number.toString(16).padStart(2, "0");
}

import { type Cidr, contains, formatCidr, hostAddress, networkOf, overlaps, parseCidr } from "../addresses/cidr.ts";
import { type Family, familyOf, formatIp, parseIp } from "../addresses/ip.ts";
import { listed } from "../explain/claim.ts";
import { Fault } from "../fault.ts";
import { DEFAULT_VM_IPV6_NETWORK_CIDR, DEFAULT_VM_NETWORK_CIDR } from "../networks/pod-interface.ts";
import { globalAddresses, type LinkFacts, type PodFacts } from "../wiring/facts.ts";
import type { NicContext } from "./binding.ts";
import type { Side } from "./masquerade-nat.ts";
import { podLink } from "./pod-link.ts";

const FIELDS = { 4: "vmNetworkCIDR", 6: "vmIPv6NetworkCIDR" } as const;
/** A network, gateway, guest and broadcast address need two host bits (reference 5.2). */
const SMALLEST_HOST_BITS = 2;

/**
 * Gateway and guest of each family that the pod's link has an address of. Throws PB2020 on another network than the pod's,
 * PB4003 where a CIDR has no room for them.
 */
export function sides(
  nic: NicContext,
  link: LinkFacts,
): { readonly v4: Side | undefined; readonly v6: Side | undefined } {
  if (nic.network.kind !== "pod") {
    throw new Fault("PB2020", `The interface "${nic.name}" uses masquerade on a ${nic.network.kind} network.`, {
      place: nic.name,
      cure: "masquerade connects to the pod network only.",
    });
  }
  return {
    v4: side(4, nic.network.vmNetworkCIDR, nic, link),
    v6: side(6, nic.network.vmIPv6NetworkCIDR, nic, link),
  };
}

/** Undefined where the pod's link has no global address of the family. */
function side(family: Family, cidrText: string, nic: NicContext, link: LinkFacts): Side | undefined {
  const field = FIELDS[family];
  const podAddresses = globalAddresses(link, family).map(({ address }) => formatIp(address));
  if (podAddresses.length === 0) return undefined;
  const cidr = parseCidr(cidrText);
  const bits = family === 4 ? 32 : 128;
  const gateway = cidr === undefined ? undefined : hostAddress(cidr, 1);
  const guest = cidr === undefined ? undefined : hostAddress(cidr, 2);
  const fits = cidr?.family === family && bits - cidr.prefixLength >= SMALLEST_HOST_BITS;
  if (cidr === undefined || !fits || gateway === undefined || guest === undefined) {
    throw new Fault("PB4003", `${field} "${cidrText}" of the network "${nic.name}" cannot be used for masquerade.`, {
      place: `spec.networks[${nic.networkIndex}].pod.${field}`,
      cure: `Give an IPv${family} network of /${bits - SMALLEST_HOST_BITS} or larger, such as ${family === 4 ? "10.0.2.0/24" : "fd10:0:2::/120"}.`,
    });
  }
  return { family, network: networkOf(cidr), gateway: formatIp(gateway), guest: formatIp(guest), podAddresses };
}

/** Something of the pod's that the guest looks for in its own network. */
interface Hidden {
  readonly what: string;
  /** True where the pod itself has two ways there, of which one leads to its guest. */
  readonly splits: boolean;
}

/** The pod's name servers, gateways and neighbours that have addresses of the guest's own network. */
export function hiddenBy({ family, network }: Side, nic: NicContext, facts: PodFacts): readonly Hidden[] {
  const inside = (text: string): boolean => {
    const bytes = familyOf(text) === family ? parseIp(text) : undefined;
    return bytes !== undefined && contains(network, bytes);
  };
  const neighbours = globalAddresses(podLink(nic, facts), family).filter((cidr) => overlaps(network, cidr));
  const routers = facts.routes.flatMap(({ device, gateway = "" }) => (device === nic.podInterface ? gateway : []));
  return [
    ...facts.resolver.nameservers
      .filter(inside)
      .map((server) => ({ what: `the name server ${server}`, splits: false })),
    ...routers.filter(inside).map((router) => ({ what: `the router ${router}`, splits: true })),
    ...neighbours.map((cidr) => ({ what: `what else is in the pod's ${formatCidr(networkOf(cidr))}`, splits: true })),
  ];
}

/** A guest's network that cannot be told from the pod's. */
export interface Overlap {
  readonly fault: Fault;
  /** True where the pod itself would not find its way either; else the guest alone misses something. */
  readonly splits: boolean;
}

/** PB4003 for each CIDR behind a masquerade that has addresses of what the pod, by these facts, must reach. */
export function overlapsOf(nics: readonly NicContext[], facts: PodFacts): readonly Overlap[] {
  return nics.flatMap((nic) => {
    if (nic.binding !== "masquerade") return [];
    const { v4, v6 } = sides(nic, podLink(nic, facts));
    return [v4, v6].flatMap((one): Overlap[] => {
      const hidden = one === undefined ? [] : hiddenBy(one, nic, facts);
      if (one === undefined || hidden.length === 0) return [];
      const splits = hidden.some((thing) => thing.splits);
      const field = FIELDS[one.family];
      const what = listed(hidden.map((thing) => thing.what));
      const cidr = `${field} "${formatCidr(one.network)}" of the network "${nic.name}"`;
      const message = splits
        ? `${cidr} overlaps the pod's own network: it hides ${what}.`
        : `${cidr} hides ${what} from the guest.`;
      const place = `spec.networks[${nic.networkIndex}].pod.${field}`;
      const free = FREE[one.family].find((text) => isFree(text, one, nic, facts));
      const cure = `Choose a network that the pod has no use for${free === undefined ? "" : `, such as ${free}`}.`;
      return [{ splits, fault: new Fault("PB4003", message, { place, cure }) }];
    });
  });
}

/** What to choose instead: the default, then others that few use. */
const FREE = {
  4: [DEFAULT_VM_NETWORK_CIDR, "10.0.242.0/24", "172.31.242.0/24", "192.168.242.0/24"],
  6: [DEFAULT_VM_IPV6_NETWORK_CIDR, "fd10:0:242::/120"],
} as const;

function isFree(text: string, side: Side, nic: NicContext, facts: PodFacts): boolean {
  const network: Cidr | undefined = parseCidr(text);
  return network !== undefined && hiddenBy({ ...side, network }, nic, facts).length === 0;
}

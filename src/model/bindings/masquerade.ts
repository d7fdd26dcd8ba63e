import { formatCidr } from "../addresses/cidr.ts";
import { canonicalMac } from "../addresses/mac.ts";
import { type BindingSays, listed } from "../explain/claim.ts";
import { portsText } from "../explain/ports.ts";
import { Fault } from "../fault.ts";
import { tapName } from "../networks/pod-interface.ts";
import type { Problem } from "../rules/problem.ts";
import { type Nic, nicProblem } from "../rules/subject.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { Sysctl, WiredAddress } from "../wiring/wiring.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestDns } from "./guest-dns.ts";
import { LEASE_SECONDS } from "./in-pod-bridge.ts";
import { isMeshed, natTable, type Side } from "./masquerade-nat.ts";
import { hiddenBy, sides } from "./masquerade-sides.ts";
import { guestNic, podLink } from "./pod-link.ts";

/**
 * Hides the guest behind the pod's addresses: a routed tap that holds the gateway, NAT between it and the pod's link.
 *
 * The chains are KubeVirt's (reference 5.3); the device is the tap itself instead of a bridge with one port.
 */
export const masquerade: Binding = {
  field: "masquerade",
  rules: (nic) => [...onPodNetwork(nic), ...macIsFree(nic)],
  wire: wireMasquerade,
  migration: () => ({ migratable: true }),
  explain,
};

/** The gateway's MAC: the one that KubeVirt reserves, the same in every pod so that a migrated guest keeps its neighbour. */
export const GATEWAY_MAC = "02:00:00:00:00:00";
/** Source of router advertisements and of DHCPv6 answers. */
export const GATEWAY_LINK_LOCAL = "fe80::1";
/** The longest that RFC 4861 6.2.1 allows. */
const ROUTER_LIFETIME_SECONDS = 9000;

function wireMasquerade(nic: NicContext, facts: PodFacts): NicWiring {
  const link = podLink(nic, facts);
  const { v4, v6 } = sides(nic, link);
  if (v4 === undefined && v6 === undefined) {
    throw new Fault(
      "PB4005",
      `The pod's link "${link.name}" has no address, so masquerade has nothing to translate to.`,
      {
        place: link.name,
        cure: "Give the pod network an IPAM section in its CNI configuration.",
      },
    );
  }
  const tap = tapName(nic.podInterface);
  const dns = guestDns(facts.resolver, nic.subdomain);
  const both = [v4, v6].filter((side) => side !== undefined);
  const linkLocal: WiredAddress[] = v6 === undefined ? [] : [{ link: tap, cidr: `${GATEWAY_LINK_LOCAL}/64` }];
  return {
    kernel: {
      links: [{ kind: "tap", name: tap, mac: GATEWAY_MAC, mtu: link.mtu, queues: nic.queues }],
      addresses: [
        ...both.map((side) => ({ link: tap, cidr: `${side.gateway}/${side.network.prefixLength}` })),
        ...linkLocal,
      ],
      localRoutes: v6 === undefined ? [] : [{ link: tap, destination: "::1/128" }],
      sysctls: both.flatMap((side) => forwarding(side, tap)),
      tables: both.map((side) => natTable(side, nic, link.name, tap)),
    },
    nic: guestNic(nic, {
      attachment: { kind: "tap", device: tap, queues: nic.queues },
      mac: nic.mac ?? link.mac,
      mtu: link.mtu,
    }),
    services: {
      nic: nic.name,
      device: tap,
      mac: GATEWAY_MAC,
      ...(v4 === undefined
        ? {}
        : {
            dhcp4: {
              serverAddress: v4.gateway,
              clientAddress: v4.guest,
              prefixLength: v4.network.prefixLength,
              leaseSeconds: LEASE_SECONDS,
              mtu: link.mtu,
              routers: [v4.gateway],
              dnsServers: dns.nameservers4,
              hostName: nic.hostName,
              ...(dns.domain === undefined ? {} : { domainName: dns.domain }),
              searchDomains: dns.search,
              classlessRoutes: [],
              ...nic.dhcpOptions,
            },
          }),
      ...(v6 === undefined
        ? {}
        : {
            dhcp6: {
              serverMac: GATEWAY_MAC,
              clientAddress: v6.guest,
              leaseSeconds: LEASE_SECONDS,
              hostName: nic.hostName,
              dnsServers: dns.nameservers6,
              searchDomains: dns.search,
            },
            ra: {
              mac: GATEWAY_MAC,
              linkLocal: GATEWAY_LINK_LOCAL,
              prefix: formatCidr(v6.network),
              mtu: link.mtu,
              managed: true,
              otherConfig: true,
              routerLifetime: ROUTER_LIFETIME_SECONDS,
              dnsServers: dns.nameservers6,
              searchDomains: dns.search,
            },
          }),
    },
  };
}

function forwarding(side: Side, tap: string): Sysctl[] {
  return side.family === 4
    ? [
        { key: "net/ipv4/ip_forward", value: "1" },
        // Lets 127.0.0.1 of the pod reach the guest: the packet leaves with a loopback source until it is translated.
        { key: `net/ipv4/conf/${tap}/route_localnet`, value: "1" },
      ]
    : [
        { key: "net/ipv6/conf/all/forwarding", value: "1" },
        // A namespace may have it off for new links and on for the pod's own.
        { key: `net/ipv6/conf/${tap}/disable_ipv6`, value: "0" },
      ];
}

function explain(nic: NicContext, facts: PodFacts, { services }: NicWiring): BindingSays {
  const { v4, v6 } = sides(nic, podLink(nic, facts));
  const both = [v4, v6].filter((side) => side !== undefined);
  const addresses = both.flatMap(({ podAddresses }) => podAddresses);
  const loopbacks = both.map(({ family }) => (family === 4 ? "127.0.0.1" : "::1"));
  const all = nic.ports.length === 0;
  const meshed = isMeshed(nic);
  const by = all ? (meshed ? "every TCP port" : "every port of every protocol") : portsText(nic.ports);
  const proxied = meshed ? " The service mesh's proxy in the pod takes these calls first, but for tcp 22." : "";
  const pings = all && !meshed;
  const hidden = both.flatMap((side) => hiddenBy(side, nic, facts)).map(({ what }) => what);
  return {
    in: {
      statement: `Whoever reaches the pod reaches the guest at ${listed(addresses)} on ${by}.${all ? "" : " Whatever else comes to these addresses is the pod's, where nobody listens."}${proxied}`,
      addresses,
      ports: all ? "all" : nic.ports,
    },
    "in-icmp": {
      statement: `Echo requests to ${listed(addresses)} are answered by the ${pings ? "guest" : `pod: only ${meshed ? "tcp 22 is" : "the ports that are listed are"} translated`}.`,
      answeredBy: pings ? "guest" : "pod",
    },
    "in-local": {
      statement: `Inside the pod ${listed(loopbacks)} ${loopbacks.length === 1 ? "leads" : "lead"} to the guest on ${by}, as calls from ${listed(both.map(({ gateway }) => gateway))}; the guest reaches itself by ${listed(addresses)} as well.`,
      loopbacks,
      seenAs: both.map(({ gateway }) => gateway),
    },
    out: {
      statement: `The guest reaches whatever the pod reaches, and is seen there as ${listed(addresses)}; its own ${listed(both.map(({ guest }) => guest))} ${both.length === 1 ? "stays" : "stay"} inside. Its gateway is ${listed(gateways(services))}.${hidden.length === 0 ? "" : ` Out of its reach ${hidden.length === 1 ? "is" : "are"} ${listed(hidden)}, which the guest's own network hides: choose another with vmNetworkCIDR or vmIPv6NetworkCIDR.`}`,
      seenAs: addresses,
      ...(hidden.length === 0 ? {} : { hidden }),
    },
    needs: [],
  };
}

function gateways(services: NicWiring["services"]): readonly string[] {
  return [...(services?.dhcp4?.routers ?? []), ...(services?.ra === undefined ? [] : [services.ra.linkLocal])];
}

function onPodNetwork(nic: Nic): Problem[] {
  if (nic.network === undefined || nic.network.pod !== undefined) return [];
  return [
    nicProblem(nic, ["name"], {
      code: "PB2020",
      type: "FieldValueInvalid",
      message: `The interface "${nic.nic.name}" uses masquerade, and its network is not the pod network.`,
      cure: "Use bridge on this network, or make the network a pod network.",
    }),
  ];
}

function macIsFree(nic: Nic): Problem[] {
  const { macAddress } = nic.nic;
  if (macAddress === undefined || canonicalMac(macAddress) !== GATEWAY_MAC) return [];
  return [
    nicProblem(nic, ["macAddress"], {
      code: "PB2021",
      type: "FieldValueInvalid",
      message: `The MAC ${macAddress} of the interface "${nic.nic.name}" is that of its gateway.`,
      cure: "Take any other MAC, or leave macAddress out.",
      // KubeVirt compares letter by letter.
      ...(macAddress === GATEWAY_MAC ? {} : { stricter: true as const }),
    }),
  ];
}

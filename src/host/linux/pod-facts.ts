import type { AddressFacts, LinkFacts, RouteFacts } from "../../model/wiring/facts.ts";
import { withRouteSocket } from "./netlink-socket.ts";
import { within } from "./netns.ts";
import { type Address, dumpAddresses, dumpLinks, dumpRoutes, type Link, type Route } from "./rtnetlink.ts";

const RT_TABLE_MAIN = 254;
const RTN_UNICAST = 1;

/** The links but `lo`, in index order, and the unicast routes of the main table of the namespace at `netns`. */
export function readLinks(netns: string): { readonly links: LinkFacts[]; readonly routes: RouteFacts[] } {
  const read = within(netns, () =>
    withRouteSocket((fd) => ({ links: dumpLinks(fd), addresses: dumpAddresses(fd), routes: dumpRoutes(fd) })),
  );
  return {
    links: read.links.filter(({ loopback }) => !loopback).map((link) => linkFacts(link, read.addresses)),
    routes: read.routes
      .filter(({ table, type }) => table === RT_TABLE_MAIN && type === RTN_UNICAST)
      .flatMap((route) => routeFacts(route, new Map(read.links.map(({ index, name }) => [index, name])))),
  };
}

function linkFacts(link: Link, addresses: readonly Address[]): LinkFacts {
  const { name, kind, mac, mtu, up, noArp } = link;
  return {
    name,
    kind,
    mac,
    mtu,
    up,
    ...(noArp ? { noArp } : {}),
    addresses: addresses
      .filter((address) => address.link === link.index)
      .map(({ cidr, scope }) => ({ cidr, scope: scopeName(scope) })),
  };
}

/** The names of rt_scope_t; what lies between counts as the wider one. */
export function scopeName(scope: number): AddressFacts["scope"] {
  if (scope >= 254) return "host";
  if (scope === 253) return "link";
  return scope >= 200 ? "site" : "global";
}

/** One route a hop: a multipath route becomes several. */
function routeFacts(route: Route, names: ReadonlyMap<number, string>): RouteFacts[] {
  const hops = route.hops ?? [
    {
      ...(route.link === undefined ? {} : { link: route.link }),
      ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
    },
  ];
  return hops.flatMap((hop) => {
    const device = hop.link === undefined ? undefined : names.get(hop.link);
    if (device === undefined) return [];
    return [
      {
        family: route.family,
        destination: route.destination,
        ...(hop.gateway === undefined ? {} : { gateway: hop.gateway }),
        device,
        ...(route.metric === 0 ? {} : { metric: route.metric }),
        ...(route.source === undefined ? {} : { source: route.source }),
      },
    ];
  });
}

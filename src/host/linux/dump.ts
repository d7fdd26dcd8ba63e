import { tableKey } from "../../model/wiring/steps.ts";
import { withRouteSocket } from "./netlink-socket.ts";
import { within } from "./netns.ts";
import { listRuleset, splitRuleset } from "./nftables.ts";
import { scopeName } from "./pod-facts.ts";
import { dumpAddresses, dumpLinks, dumpNeighbours, dumpRoutes } from "./rtnetlink.ts";
import { listSysctls, readSysctl } from "./sysctl.ts";

/** All that the kernel holds of a namespace's network, as plain data: equal dumps, equal networks. */
export interface NetnsDump {
  readonly links: readonly {
    readonly name: string;
    readonly kind: string;
    readonly mac: string;
    readonly mtu: number;
    readonly up: boolean;
    readonly master?: string;
    readonly queues: number;
  }[];
  readonly addresses: readonly {
    readonly link: string;
    readonly cidr: string;
    readonly scope: string;
    /** IFA_F_… bits but for those that duplicate address detection changes by itself. */
    readonly flags: number;
    readonly peer?: string;
  }[];
  /** Of every table, as text: `main unicast 10.0.2.0/24 dev tap0 metric 0 …`. */
  readonly routes: readonly string[];
  /** Permanent ones only; the others come and go. */
  readonly neighbours: readonly { readonly link: string; readonly address: string; readonly mac: string }[];
  /** Listing of every table by `family name`, as `nft -s list table` prints it. */
  readonly tables: Readonly<Record<string, string>>;
  /** Value by key: net/ipv4/conf, net/ipv6/conf and what switches forwarding. */
  readonly sysctls: Readonly<Record<string, string>>;
}

const NUD_PERMANENT = 0x80;
/** IFA_F_OPTIMISTIC, IFA_F_DADFAILED, IFA_F_TENTATIVE. */
const DETECTION = 0x04 | 0x08 | 0x40;
const ROUTE_TYPES = ["unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable"];

/** Reads everything of the namespace at `netns`. */
export function dumpNetns(netns: string): NetnsDump {
  return within(netns, dumpHere);
}

function dumpHere(): NetnsDump {
  const read = withRouteSocket((fd) => ({
    links: dumpLinks(fd),
    addresses: dumpAddresses(fd),
    routes: dumpRoutes(fd),
    neighbours: dumpNeighbours(fd),
  }));
  const names = new Map(read.links.map(({ index, name }) => [index, name]));
  const name = (index: number): string => names.get(index) ?? `#${index}`;
  return {
    links: read.links.map((link) => ({
      name: link.name,
      kind: link.kind,
      mac: link.mac,
      mtu: link.mtu,
      up: link.up,
      ...(link.master === undefined ? {} : { master: name(link.master) }),
      queues: link.txQueues,
    })),
    addresses: read.addresses.map(({ link, cidr, scope, flags, peer }) => ({
      link: name(link),
      cidr,
      scope: scopeName(scope),
      flags: flags & ~DETECTION,
      ...(peer === undefined ? {} : { peer }),
    })),
    routes: read.routes
      .map((route) =>
        [
          route.table === 254 ? "main" : route.table === 255 ? "local" : `table ${route.table}`,
          ROUTE_TYPES[route.type] ?? `type ${route.type}`,
          route.destination,
          ...(route.gateway === undefined ? [] : [`via ${route.gateway}`]),
          ...(route.link === undefined ? [] : [`dev ${name(route.link)}`]),
          ...(route.source === undefined ? [] : [`src ${route.source}`]),
          ...(route.hops ?? []).map((hop) => `nexthop via ${hop.gateway ?? "-"} dev ${name(hop.link)} x${hop.weight}`),
          `metric ${route.metric}`,
          `proto ${route.protocol}`,
          `scope ${route.scope}`,
        ].join(" "),
      )
      .sort(),
    neighbours: read.neighbours
      .filter(({ state }) => (state & NUD_PERMANENT) !== 0)
      .map(({ link, address, mac }) => ({ link: name(link), address, mac })),
    tables: Object.fromEntries(
      splitRuleset(listRuleset({ stateless: true })).map((table) => [tableKey(table), table.listing]),
    ),
    sysctls: dumpSysctls(),
  };
}

function dumpSysctls(): Record<string, string> {
  const keys = ["net/ipv4/ip_forward", ...listSysctls("net/ipv4/conf"), ...listSysctls("net/ipv6/conf")];
  return Object.fromEntries(
    keys.flatMap((key) => {
      // A secret that was never set cannot be read (EIO).
      if (key.endsWith("/stable_secret")) return [];
      const value = readSysctl(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

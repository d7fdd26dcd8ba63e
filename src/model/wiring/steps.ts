import { isTable, type NftTable, withCounters } from "./nft.ts";
import type { BridgeLink, KernelState, PodLink, StandInLink, Sysctl, TapLink, WiredLink } from "./wiring.ts";

/** What the kernel holds of the things a wiring may name, as read from the pod's namespace. */
export interface Actual {
  readonly links: readonly ActualLink[];
  /** Value by key, for the keys that were asked for; absent where the kernel has no such file. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Listing by `family name`, as `nft list table` prints it, counters included; absent where there is no such table. */
  readonly tables: Readonly<Record<string, string>>;
}

export interface ActualLink {
  readonly name: string;
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Name of the bridge that it is a port of. */
  readonly master?: string;
  /** Of a port: whether the bridge learns addresses from it. */
  readonly learning?: boolean;
  /** Addresses with prefix length, canonical text. */
  readonly addresses: readonly string[];
  /** Destinations of the local routes that somebody added, with prefix length. */
  readonly localRoutes: readonly string[];
}

/** One change to the kernel. Every kind has one executor in `host/linux` and one inverse here. */
export type Step =
  | { readonly do: "tap.open"; readonly tap: TapLink }
  | { readonly do: "link.add"; readonly link: BridgeLink | StandInLink }
  | { readonly do: "link.delete"; readonly name: string }
  | { readonly do: "link.rename"; readonly name: string; readonly to: string }
  | {
      readonly do: "link.set";
      readonly name: string;
      readonly mac?: string;
      readonly mtu?: number;
      /** Name of a bridge; null: of none. */
      readonly master?: string | null;
      readonly up?: boolean;
    }
  | { readonly do: "port.learning"; readonly name: string; readonly on: boolean }
  | { readonly do: "address.add"; readonly link: string; readonly cidr: string }
  | { readonly do: "address.delete"; readonly link: string; readonly cidr: string }
  | { readonly do: "route.add"; readonly link: string; readonly destination: string }
  | { readonly do: "route.delete"; readonly link: string; readonly destination: string }
  | { readonly do: "sysctl.write"; readonly key: string; readonly value: string }
  /** Where there is no such table: thirty times faster than replacing one, which waits for the old rules' readers. */
  | { readonly do: "table.create"; readonly table: NftTable }
  | { readonly do: "table.replace"; readonly table: NftTable }
  | { readonly do: "table.restore"; readonly family: string; readonly name: string; readonly listing: string }
  | { readonly do: "table.delete"; readonly family: string; readonly name: string };

/** The name of a kind of step. */
export type StepKind = Step["do"];

/** The key of a table in {@link Actual.tables}. */
export function tableKey(table: { readonly family: string; readonly name: string }): string {
  return `${table.family} ${table.name}`;
}

/**
 * The steps that turn `actual` into `wanted`, in the order to execute them: links moved out of the way, links, taps,
 * sysctls and tables, so that a link is silent and guarded before it is up, the links' properties, addresses, routes.
 *
 * Empty when nothing differs; what `wanted` does not name is left alone.
 */
export function stepsTo(wanted: KernelState, actual: Actual): Step[] {
  const found = linksFound(wanted, actual);
  const moves = wanted.links.filter(isPodLink).filter((link) => found.get(link)?.name === link.from && isMoved(link));
  return [
    // A link of older kernels has to be down to get another name. What it was is remembered by the name that it had.
    ...moves.flatMap((link): Step[] => [
      { do: "link.set", name: link.from, ...macChange(link, found.get(link)), up: false },
      ...baring(link.from, found.get(link), wanted, link),
      ...formerSysctls(wanted, link).flatMap((sysctl) => writing(sysctl, actual)),
      { do: "link.rename", name: link.from, to: link.name },
    ]),
    ...wanted.links.flatMap((link) => (found.has(link) ? [] : making(link))),
    ...wanted.sysctls.flatMap((sysctl) => writing(sysctl, actual, moves)),
    ...ruling(wanted, actual),
    ...wanted.links.flatMap((link) => setting(link, found.get(link), moves)),
    ...wanted.links.flatMap((link) => learning(link, found.get(link))),
    ...wanted.links.flatMap((link) =>
      isPodLink(link) && isMoved(link) && !moves.includes(link) ? baring(link.name, found.get(link), wanted, link) : [],
    ),
    ...serving(wanted, found, moves),
  ];
}

/** A moved link's sysctls by the name that it had, by which their values are known that an undoing gives back. */
function formerSysctls(wanted: KernelState, { name, from }: PodLink): readonly Sysctl[] {
  return wanted.sysctls.flatMap(({ key, value }) => {
    const former = key
      .split("/")
      .map((part) => (part === name ? from : part))
      .join("/");
    return former === key ? [] : [{ key: former, value }];
  });
}

/**
 * The links that are there, by the wanted one. A name alone does not say which is which: before a pod's link is moved out
 * of the way, it has the name that its stand-in is to have.
 */
function linksFound(wanted: KernelState, actual: Actual): ReadonlyMap<WiredLink, ActualLink> {
  const byName = new Map(actual.links.map((link) => [link.name, link]));
  const unmoved = new Set(
    wanted.links.filter(isPodLink).flatMap((link) => (isMoved(link) && !byName.has(link.name) ? [link.from] : [])),
  );
  return new Map(
    wanted.links.flatMap((link): [WiredLink, ActualLink][] => {
      const name = link.kind === "pod" && unmoved.has(link.from) ? link.from : link.name;
      const there = link.kind !== "pod" && unmoved.has(link.name) ? undefined : byName.get(name);
      return there === undefined ? [] : [[link, there]];
    }),
  );
}

/** Kernel kinds of what Patchbay makes; a dummy may be a bridge where the kernel has no dummies. */
const KERNEL_KINDS = { tap: ["tun"], bridge: ["bridge"], dummy: ["dummy", "bridge"] } as const;

/** Links of another kind that have the name of one that is to be made, or of one that is to be moved. */
export function takenNames(
  wanted: KernelState,
  actual: Actual,
): readonly { readonly wanted: WiredLink; readonly kind: string }[] {
  const found = linksFound(wanted, actual);
  return [...found].flatMap(([link, { kind }]): { readonly wanted: WiredLink; readonly kind: string }[] => {
    if (link.kind === "pod") return [];
    const kinds: readonly string[] = KERNEL_KINDS[link.kind];
    if (kinds.includes(kind)) return [];
    // The pod's own link still has the name: then it is the new one of that link which is taken.
    const moved = wanted.links.filter(isPodLink).find(({ from, name }) => from === link.name && name !== from);
    const taker = moved === undefined ? undefined : found.get(moved);
    return moved === undefined || taker === undefined
      ? [{ wanted: link, kind }]
      : [{ wanted: moved, kind: taker.kind }];
  });
}

function isPodLink(link: WiredLink): link is PodLink {
  return link.kind === "pod";
}

function isMoved(link: PodLink): boolean {
  return link.name !== link.from;
}

function making(link: WiredLink): Step[] {
  switch (link.kind) {
    case "tap":
      return [{ do: "tap.open", tap: link }];
    case "bridge":
    case "dummy":
      return [{ do: "link.add", link }];
    case "pod":
      return [];
  }
}

function setting(link: WiredLink, there: ActualLink | undefined, moves: readonly PodLink[]): Step[] {
  const made = there === undefined && link.kind !== "tap" ? link : undefined;
  const master = "master" in link ? link.master : undefined;
  const down = link.kind === "dummy";
  const moving = moves.some((moved) => moved === link);
  const isUp = there?.up === true && !moving;
  const change = {
    ...(moving ? {} : macChange(link, there ?? made)),
    ...((there ?? made)?.mtu === link.mtu ? {} : { mtu: link.mtu }),
    ...(master === undefined || there?.master === master ? {} : { master }),
    ...(isUp === !down ? {} : { up: !down }),
  };
  return Object.keys(change).length === 0 ? [] : [{ do: "link.set", name: link.name, ...change }];
}

function macChange(link: WiredLink, there: { readonly mac: string } | undefined): { readonly mac?: string } {
  return there?.mac === link.mac ? {} : { mac: link.mac };
}

/** The bridge must not learn from the pod's link what it knows of the guest. */
function learning(link: WiredLink, there: ActualLink | undefined): Step[] {
  if (link.kind !== "pod" || link.master === undefined) return [];
  const isOff = there?.master === link.master && there.learning === false;
  return isOff ? [] : [{ do: "port.learning", name: link.name, on: false }];
}

/** Addresses that a moved link must not have; the kernel takes link-local ones away with IPv6 itself. */
function baring(name: string, there: ActualLink | undefined, { addresses }: KernelState, moved: PodLink): Step[] {
  const kept = new Set(addresses.filter(({ link }) => link === moved.name).map(({ cidr }) => cidr));
  return (there?.addresses ?? [])
    .filter((cidr) => !cidr.startsWith("fe80:") && !kept.has(cidr))
    .map((cidr): Step => ({ do: "address.delete", link: name, cidr }));
}

const IPV6 = "net/ipv6/conf/all/disable_ipv6";

/** What was read by the former name of a link that moves says nothing of the one that gets the name. */
function writing({ key, value }: Sysctl, actual: Actual, moves: readonly PodLink[] = []): Step[] {
  const isSwitchedOff = value === "1" && isSwitch(key) && actual.sysctls[IPV6] === undefined;
  const isKnown = !moves.some(({ from }) => key.split("/").includes(from));
  if (isSwitchedOff || (isKnown && actual.sysctls[key] === value)) return [];
  return [{ do: "sysctl.write", key, value }];
}

/** Whether it switches IPv6 on or off. */
function isSwitch(key: string): boolean {
  return key.startsWith("net/ipv6/") && key.endsWith("/disable_ipv6");
}

/** Before the links are up, so that nothing gets by the rules. */
function ruling({ tables }: KernelState, actual: Actual): Step[] {
  return tables.flatMap((table): Step[] => {
    const listing = actual.tables[tableKey(table)];
    if (listing === undefined) return [{ do: "table.create", table }];
    return isTable(table, listing) ? [] : [{ do: "table.replace", table: withCounters(table, listing) }];
  });
}

function serving(wanted: KernelState, found: ReadonlyMap<WiredLink, ActualLink>, moves: readonly PodLink[]): Step[] {
  const byName = new Map(wanted.links.map((link) => [link.name, found.get(link)]));
  const downed = wanted.links.flatMap((link) =>
    (link.kind === "dummy" || moves.some((moved) => moved === link)) && found.get(link)?.up === true ? [link.name] : [],
  );
  const addresses = wanted.addresses.flatMap(({ link, cidr }): Step[] => {
    const isThere = byName.get(link)?.addresses.includes(cidr) ?? false;
    // A link that goes down loses its IPv6 addresses, unless it is set to keep them.
    const again = isThere && downed.includes(link) && cidr.includes(":");
    return [
      ...(again ? [{ do: "address.delete", link, cidr } as const] : []),
      ...(again || !isThere ? [{ do: "address.add", link, cidr } as const] : []),
    ];
  });
  const routes = wanted.localRoutes
    .filter((route) => !(byName.get(route.link)?.localRoutes.includes(route.destination) ?? false))
    .map((route): Step => ({ do: "route.add", link: route.link, destination: route.destination }));
  return [...addresses, ...routes];
}

/** What must be read to compare a kernel with `wanted`. */
export function needsReading(wanted: KernelState): {
  /** Links whose local routes matter. */
  readonly routedLinks: readonly string[];
  readonly sysctls: readonly string[];
  readonly tables: readonly { readonly family: string; readonly name: string }[];
} {
  return {
    routedLinks: wanted.localRoutes.map((route) => route.link),
    sysctls: [
      ...wanted.sysctls,
      ...wanted.links
        .filter(isPodLink)
        .filter(isMoved)
        .flatMap((link) => formerSysctls(wanted, link)),
    ]
      .map(({ key }) => key)
      .concat(wanted.sysctls.some(({ key }) => isSwitch(key)) ? [IPV6] : []),
    tables: wanted.tables.map(({ family, name }) => ({ family, name })),
  };
}

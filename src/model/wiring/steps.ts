import { isTable, type NftTable, withCounters } from "./nft.ts";
import type { KernelState, TapLink } from "./wiring.ts";

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
  /** Addresses with prefix length, canonical text. */
  readonly addresses: readonly string[];
  /** Destinations of the local routes that somebody added, with prefix length. */
  readonly localRoutes: readonly string[];
}

/** One change to the kernel. Every kind has one executor in `host/linux` and one inverse here. */
export type Step =
  | { readonly do: "tap.open"; readonly tap: TapLink }
  | { readonly do: "link.delete"; readonly name: string }
  | {
      readonly do: "link.set";
      readonly name: string;
      readonly mac?: string;
      readonly mtu?: number;
      readonly up?: boolean;
    }
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
 * The steps that turn `actual` into `wanted`, in the order to execute them: taps, links, addresses, routes, sysctls,
 * tables.
 *
 * Empty when nothing differs; what `wanted` does not name is left alone.
 */
export function stepsTo(wanted: KernelState, actual: Actual): Step[] {
  const linkByName = new Map(actual.links.map((link) => [link.name, link]));
  const taps = wanted.links.filter(({ name }) => !linkByName.has(name)).map((tap): Step => ({ do: "tap.open", tap }));
  const links = wanted.links.flatMap((link): Step[] => {
    const there = linkByName.get(link.name);
    const change = {
      ...(there?.mac === link.mac ? {} : { mac: link.mac }),
      ...(there?.mtu === link.mtu ? {} : { mtu: link.mtu }),
      ...(there?.up === true ? {} : { up: true }),
    };
    return Object.keys(change).length === 0 ? [] : [{ do: "link.set", name: link.name, ...change }];
  });
  const addresses = wanted.addresses
    .filter((address) => !(linkByName.get(address.link)?.addresses.includes(address.cidr) ?? false))
    .map((address): Step => ({ do: "address.add", link: address.link, cidr: address.cidr }));
  const routes = wanted.localRoutes
    .filter((route) => !(linkByName.get(route.link)?.localRoutes.includes(route.destination) ?? false))
    .map((route): Step => ({ do: "route.add", link: route.link, destination: route.destination }));
  const sysctls = wanted.sysctls
    .filter((sysctl) => actual.sysctls[sysctl.key] !== sysctl.value)
    .map((sysctl): Step => ({ do: "sysctl.write", key: sysctl.key, value: sysctl.value }));
  const tables = wanted.tables.flatMap((table): Step[] => {
    const listing = actual.tables[tableKey(table)];
    if (listing === undefined) return [{ do: "table.create", table }];
    return isTable(table, listing) ? [] : [{ do: "table.replace", table: withCounters(table, listing) }];
  });
  return [...taps, ...links, ...addresses, ...routes, ...sysctls, ...tables];
}

/** The steps that take `step` back on a kernel that was `before`; to be executed after the inverses of later steps. */
export function inverse(step: Step, before: Actual): Step[] {
  switch (step.do) {
    case "tap.open":
      return [{ do: "link.delete", name: step.tap.name }];
    case "link.set": {
      const link = before.links.find((candidate) => candidate.name === step.name);
      if (link === undefined) return [];
      return [
        {
          do: "link.set",
          name: step.name,
          ...(step.mac === undefined ? {} : { mac: link.mac }),
          ...(step.mtu === undefined ? {} : { mtu: link.mtu }),
          ...(step.up === undefined ? {} : { up: link.up }),
        },
      ];
    }
    case "address.add":
      return [{ do: "address.delete", link: step.link, cidr: step.cidr }];
    case "address.delete":
      return [{ do: "address.add", link: step.link, cidr: step.cidr }];
    case "route.add":
      return [{ do: "route.delete", link: step.link, destination: step.destination }];
    case "route.delete":
      return [{ do: "route.add", link: step.link, destination: step.destination }];
    case "sysctl.write": {
      const value = before.sysctls[step.key];
      return value === undefined ? [] : [{ do: "sysctl.write", key: step.key, value }];
    }
    case "table.create":
      return [{ do: "table.delete", family: step.table.family, name: step.table.name }];
    case "table.replace":
    case "table.restore":
    case "table.delete": {
      const { family, name } = step.do === "table.replace" ? step.table : step;
      const listing = before.tables[`${family} ${name}`];
      return [
        listing === undefined ? { do: "table.delete", family, name } : { do: "table.restore", family, name, listing },
      ];
    }
    case "link.delete":
      return [];
  }
}

/** A step as a phrase: `address 10.0.2.1/24 on tap0`. */
export function stepText(step: Step): string {
  switch (step.do) {
    case "tap.open":
      return `tap ${step.tap.name} with ${step.tap.queues} ${step.tap.queues === 1 ? "queue" : "queues"}`;
    case "link.set": {
      const what = [
        ...(step.mac === undefined ? [] : [`MAC ${step.mac}`]),
        ...(step.mtu === undefined ? [] : [`MTU ${step.mtu}`]),
        ...(step.up === undefined ? [] : [step.up ? "up" : "down"]),
      ];
      return `${what.join(", ")} for link ${step.name}`;
    }
    case "link.delete":
      return `deletion of link ${step.name}`;
    case "address.add":
      return `address ${step.cidr} on link ${step.link}`;
    case "address.delete":
      return `removal of address ${step.cidr} from link ${step.link}`;
    case "route.add":
      return `local route ${step.destination} on link ${step.link}`;
    case "route.delete":
      return `removal of local route ${step.destination} from link ${step.link}`;
    case "sysctl.write":
      return `sysctl ${step.key} = ${step.value}`;
    case "table.create":
    case "table.replace":
      return `table ${tableKey(step.table)}`;
    case "table.restore":
      return `former table ${tableKey(step)}`;
    case "table.delete":
      return `deletion of table ${tableKey(step)}`;
  }
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
    sysctls: wanted.sysctls.map((sysctl) => sysctl.key),
    tables: wanted.tables.map(({ family, name }) => ({ family, name })),
  };
}

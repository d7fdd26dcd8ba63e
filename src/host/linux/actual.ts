import type { Actual, ActualLink, needsReading } from "../../model/wiring/steps.ts";
import { tableKey } from "../../model/wiring/steps.ts";
import { withRouteSocket } from "./netlink-socket.ts";
import { listRuleset, splitRuleset, tableNames } from "./nftables.ts";
import { dumpAddresses, dumpLinks, dumpRoutes } from "./rtnetlink.ts";
import { readSysctl } from "./sysctl.ts";

const RTN_LOCAL = 2;
/** Made by the kernel for each address. */
const RTPROT_KERNEL = 2;

/** What to read beside the links: keys of sysctls, names of tables. */
export type Needs = ReturnType<typeof needsReading>;

/** What the current namespace holds of the things that a wiring names. */
export function readActualHere(needs: Needs): Actual {
  return {
    links: readActualLinks(needs.routedLinks),
    sysctls: readSysctls(needs.sysctls),
    tables: readTables(needs.tables),
  };
}

function readActualLinks(routed: readonly string[]): ActualLink[] {
  return withRouteSocket((fd) => {
    const links = dumpLinks(fd);
    const addresses = dumpAddresses(fd);
    // Routes are the longest dump, and a link that is not there has none.
    const routes = links.some(({ name }) => routed.includes(name)) ? dumpRoutes(fd) : [];
    const localRoutes = routes.filter(({ type, protocol }) => type === RTN_LOCAL && protocol !== RTPROT_KERNEL);
    const names = new Map(links.map(({ index, name }) => [index, name]));
    return links.map(({ index, name, kind, mac, mtu, up, master: bridge, learning }) => {
      const master = bridge === undefined ? undefined : names.get(bridge);
      return {
        name,
        kind,
        mac,
        mtu,
        up,
        addresses: addresses.filter(({ link }) => link === index).map(({ cidr }) => cidr),
        localRoutes: localRoutes.filter(({ link }) => link === index).map(({ destination }) => destination),
        ...(master === undefined ? {} : { master }),
        ...(learning === undefined ? {} : { learning }),
      };
    });
  });
}

/** Value by key for those that the kernel has. */
export function readSysctls(keys: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const key of keys) {
    const value = readSysctl(key);
    if (value !== undefined) values[key] = value;
  }
  return values;
}

function readTables(names: Needs["tables"]): Record<string, string> {
  if (names.length === 0) return {};
  const wanted = new Set(names.map(tableKey));
  // A pod that is new has none of them, and to know that costs a tenth of a listing.
  if (!tableNames().some((name) => wanted.has(name))) return {};
  // One listing of everything costs what the listing of one table does, and asks for no table that is not there.
  const tables = splitRuleset(listRuleset()).filter((table) => wanted.has(tableKey(table)));
  return Object.fromEntries(tables.map((table) => [tableKey(table), table.listing]));
}

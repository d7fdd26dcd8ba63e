import { parseIp6 } from "../addresses/ip.ts";
import type { FieldPath } from "../api/field-path.ts";
import type { Finding, Statement } from "../manifest/finding.ts";
import type { CniPlugin } from "../networks/cni-config.ts";
import { pluginFields } from "../networks/cni-plugin-fields.ts";
import { type CniSource, placedPlugins } from "./cni-source.ts";
import { type LowerMtu, lowerLink, lowerMtus } from "./lower-links.ts";
import type { Run } from "./run.ts";

/** What an IPv4 link must carry (RFC 791), what an IPv6 link must carry (RFC 8200, section 5), what a link's field holds. */
const LEAST_IPV4 = 68;
const LEAST_IPV6 = 1280;
const MOST = 65_535;

interface GivenMtu {
  readonly plugin: CniPlugin;
  readonly at: FieldPath;
  readonly mtu: number;
}

/**
 * MTUs of CNI configurations that cannot be (PB2711), or are above that of the link below or of the plugin before
 * (PB2710); `links` are the host's, by name.
 */
export function mtuFindings(run: Run, links: ReadonlyMap<string, number> | undefined): Finding[] {
  const lower = lowerMtus(run, links);
  return run.sources.flatMap((source) => {
    const given = placedPlugins(source).flatMap(({ plugin, at }) => mtuOf(plugin, [...at, "mtu"]));
    const wrong = given.flatMap((one) => unreadable(source, one) ?? []);
    const [{ plugin: main, mtu: own } = { plugin: undefined, mtu: 0 }] = given.flatMap((one) => readable(one) ?? []);
    const link = lowerLink(run, source);
    const isFirst = main !== undefined && main === placedPlugins(source)[0]?.plugin;
    return [
      ...wrong,
      ...given.flatMap((one) => {
        const known = readable(one);
        if (known === undefined) return [];
        const range = outOfRange(source, known);
        if (range !== undefined) return [range];
        const above = link === undefined ? undefined : aboveLower(source, known, link, lower.get(link) ?? []);
        if (above !== undefined) return [above];
        return isFirst && known.plugin !== main && known.mtu > own ? [aboveMain(source, known, main, own)] : [];
      }),
    ];
  });
}

/** The `mtu` of a plugin that has such a field; 0 is none. */
function mtuOf(
  plugin: CniPlugin,
  at: FieldPath,
): { readonly plugin: CniPlugin; readonly at: FieldPath; readonly given: unknown }[] {
  const given = plugin.config["mtu"];
  const has = pluginFields(plugin.type)?.fields.includes("mtu") === true;
  return !has || given === undefined || given === null || given === 0 ? [] : [{ plugin, at, given }];
}

type Given = ReturnType<typeof mtuOf>[number];

function readable({ plugin, at, given }: Given): GivenMtu | undefined {
  return typeof given === "number" && Number.isInteger(given) ? { plugin, at, mtu: given } : undefined;
}

function unreadable(source: CniSource, one: Given): Finding | undefined {
  if (readable(one) !== undefined) return undefined;
  return source.finding(one.at, {
    code: "PB2711",
    severity: "error",
    message: `The MTU ${JSON.stringify(one.given)} is no whole number: the CNI plugin ${one.plugin.type} refuses the whole configuration.`,
    expected: "a number without quotes, such as 1500",
  });
}

function outOfRange(source: CniSource, { plugin, at, mtu }: GivenMtu): Finding | undefined {
  const statement = (message: string, expected: string): Statement => ({
    code: "PB2711",
    severity: "warning",
    message,
    expected,
  });
  if (mtu < LEAST_IPV4 || mtu > MOST) {
    return source.finding(
      at,
      statement(`An MTU of ${mtu} is none that a link can have.`, `${LEAST_IPV4} to ${MOST}; 0 for the plugin's own`),
    );
  }
  const main = source.network?.plugins[0];
  if (mtu < LEAST_IPV6 && (hasIp6(plugin.config["ipam"]) || hasIp6(main?.config["ipam"]))) {
    return source.finding(
      at,
      statement(
        `An MTU of ${mtu} is too small for IPv6, of which ipam gives addresses: the kernel takes them off such a link.`,
        `${LEAST_IPV6} or more`,
      ),
    );
  }
  return undefined;
}

/** True where an IPv6 address or prefix stands in an `ipam` object, routes and DNS aside. */
function hasIp6(ipam: unknown): boolean {
  if (typeof ipam === "string") return parseIp6(ipam.replace(/\/\d+$/, "")) !== undefined;
  if (typeof ipam !== "object" || ipam === null) return false;
  return Object.entries(ipam).some(([key, value]) => key !== "routes" && key !== "dns" && hasIp6(value));
}

/** Links that the kernel gives no larger MTU than that of the link below. */
const REFUSED = new Set(["macvlan", "macvtap", "vlan"]);

function aboveLower(
  source: CniSource,
  { at, mtu }: GivenMtu,
  link: string,
  told: readonly LowerMtu[],
): Finding | undefined {
  const least = told
    .filter((one) => one.source !== source && one.mtu < mtu)
    .toSorted((one, other) => one.mtu - other.mtu)[0];
  if (least === undefined) return undefined;
  const main = placedPlugins(source)[0]?.plugin.type ?? "";
  const then = REFUSED.has(main) ? "the kernel refuses it" : "longer packets are lost on their way";
  return source.finding(at, {
    code: "PB2710",
    severity: "warning",
    message: `The MTU ${mtu} is above the ${least.mtu} of ${link}, which ${least.by} gives it: ${then}.`,
    expected: `${least.mtu} or less`,
    hint: `Lower it, or raise that of ${link}.`,
  });
}

function aboveMain(source: CniSource, { plugin, at, mtu }: GivenMtu, main: CniPlugin, own: number): Finding {
  return source.finding(at, {
    code: "PB2710",
    severity: "warning",
    message: `The MTU ${mtu} of the CNI plugin ${plugin.type} is above the ${own} that ${main.type} gives the link before it: whatever is at the other end goes by ${own}.`,
    expected: `${own} or less`,
    hint: `Set mtu at ${main.type} alone.`,
  });
}

import { contains, formatCidr, networkOf, parseCidr } from "../addresses/cidr.ts";
import { parseIp } from "../addresses/ip.ts";
import { isJsonObject, objectAt, textAt } from "../json.ts";
import type { Finding } from "../manifest/finding.ts";
import type { CniPlugin } from "../networks/cni-config.ts";
import { type RangeProblem, readRanges } from "../networks/ipam-ranges.ts";
import { placedPlugins } from "./cni-source.ts";
import type { Run } from "./run.ts";

/** `ipam` sections that give no address, or one that is of no use (PB2718). */
export function addressFindings({ sources }: Run): Finding[] {
  return sources.flatMap((source) =>
    placedPlugins(source).flatMap(({ plugin, at }) =>
      [...readRanges(plugin).problems, ...staticProblems(plugin), ...routeProblems(plugin)].map((problem) =>
        source.finding([...at, "ipam", ...problem.at], {
          code: "PB2718",
          severity: problem.severity,
          message: `${source.name} has an ipam ${plugin.ipamType ?? ""} that ${problem.severity === "error" ? "gives no pod an address" : "is of little use"}: ${problem.message.charAt(0).toLowerCase()}${problem.message.slice(1)}`,
          expected: problem.expected,
          hint: `Write ${problem.expected}.`,
        }),
      ),
    ),
  );
}

function staticProblems({ config, ipamType }: CniPlugin): RangeProblem[] {
  const { addresses } = objectAt(config, "ipam");
  if (ipamType !== "static" || !Array.isArray(addresses)) return [];
  return addresses.filter(isJsonObject).flatMap((entry, index): RangeProblem[] => {
    const text = textAt(entry, "address") ?? "";
    const address = parseCidr(text);
    if (address === undefined) {
      const message = `Its address "${text}" has no prefix length, or is no address.`;
      return [
        { at: ["addresses", index, "address"], severity: "error", message, expected: "an address such as 10.1.0.5/16" },
      ];
    }
    const gateway = textAt(entry, "gateway");
    const parsed = parseIp(gateway ?? "");
    if (gateway === undefined || (parsed !== undefined && contains(address, parsed))) return [];
    return [
      {
        at: ["addresses", index, "gateway"],
        severity: parsed === undefined ? "error" : "warning",
        message:
          parsed === undefined
            ? `Its gateway "${gateway}" is no address.`
            : `Its gateway ${gateway} is outside of the subnet, and no pod can reach it.`,
        expected: `an address of ${formatCidr(networkOf(address))}`,
      },
    ];
  });
}

const WITH_ROUTES = ["host-local", "static", "whereabouts"];

function routeProblems({ config, ipamType = "" }: CniPlugin): RangeProblem[] {
  const { routes } = objectAt(config, "ipam");
  if (!WITH_ROUTES.includes(ipamType) || !Array.isArray(routes)) return [];
  return routes.filter(isJsonObject).flatMap((route, index): RangeProblem[] => {
    const dst = textAt(route, "dst") ?? "";
    const gw = textAt(route, "gw");
    const wrong = (key: string, message: string, expected: string): RangeProblem[] => [
      { at: ["routes", index, key], severity: "error", message, expected },
    ];
    if (parseCidr(dst) === undefined)
      return wrong("dst", `Its route to "${dst}" has no network.`, "a network such as 0.0.0.0/0");
    if (gw !== undefined && parseIp(gw) === undefined)
      return wrong("gw", `Its gateway "${gw}" is no address.`, "an address");
    return [];
  });
}

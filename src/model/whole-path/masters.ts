import type { Finding } from "../manifest/finding.ts";
import { nearMiss } from "../near-miss.ts";
import { placedPlugins } from "./cni-source.ts";
import { lowerLink } from "./lower-links.ts";
import type { Run } from "./run.ts";

/** CNI configurations that build on a link which the host does not have (PB3027); a bridge is made where it is not there. */
export function masterFindings(run: Run, links: ReadonlyMap<string, number>): Finding[] {
  return run.sources.flatMap((source) => {
    const [main] = placedPlugins(source);
    const link = lowerLink(run, source);
    if (main === undefined || link === undefined || main.plugin.type === "bridge" || links.has(link)) return [];
    const near = nearMiss(link, links.keys());
    const hint =
      main.plugin.type === "macvtap"
        ? "Make the link, or name another as the lowerDevice in DP_MACVTAP_CONF of the ConfigMap macvtap-deviceplugin-config."
        : "Make the link, or name another.";
    return [
      source.finding([...main.at, "master"], {
        code: "PB3027",
        severity: "warning",
        message: `${source.name} builds on the link "${link}", which this host does not have.`,
        hint: near === undefined ? hint : `Did you mean "${near}"?`,
      }),
    ];
  });
}

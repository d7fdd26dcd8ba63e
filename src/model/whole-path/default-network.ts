import { type Finding, findingAt } from "../manifest/finding.ts";
import { placedPlugins } from "./cni-source.ts";
import { type Run, sourceOf } from "./run.ts";

/** Plugins that make a link and leave its addresses to IPAM; others may bring addresses of their own. */
const LEAVES_ADDRESSES = new Set([
  "bridge",
  "ptp",
  "macvlan",
  "ipvlan",
  "vlan",
  "host-device",
  "macvtap",
  "ovs",
  "sriov",
]);

/** Default networks whose definition gives no address: the pod would have none (PB2708). */
export function defaultNetworkFindings(run: Run): Finding[] {
  return run.instances.flatMap(({ document, networks }) =>
    networks.flatMap((network) => {
      const source = network.isDefault ? sourceOf(run, network) : undefined;
      const [main] = source === undefined ? [] : placedPlugins(source);
      if (main === undefined || main.plugin.ipamType !== undefined || !LEAVES_ADDRESSES.has(main.plugin.type))
        return [];
      return [
        findingAt(document, [...network.at, "multus", "default"], {
          code: "PB2708",
          severity: "warning",
          message: `The network "${network.name}" is the pod's default network, and its definition ${network.definition ?? ""} has no ipam: the plugin ${main.plugin.type} returns no address, and the pod cannot start.`,
          hint: "Give the plugin an ipam, such as host-local with a subnet.",
        }),
      ];
    }),
  );
}

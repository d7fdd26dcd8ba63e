import type { BindingField, NicContext } from "../bindings/binding.ts";
import { Fault } from "../fault.ts";
import type { NicNetwork } from "../networks/network.ts";

/** What this version plans and explains, and cannot build yet. */
export const UNBUILT_BINDINGS: ReadonlySet<BindingField> = new Set<BindingField>([
  "slirp",
  "macvtap",
  "passt",
  "passtBinding",
  "sriov",
  "binding",
]);
export const UNBUILT_NETWORKS: ReadonlySet<NicNetwork["kind"]> = new Set<NicNetwork["kind"]>(["resourceClaim"]);

/** PB4021 for each NIC on a network, PB4020 for each with a binding, that this version cannot build yet. */
export function unbuiltOf(nics: readonly NicContext[]): readonly Fault[] {
  return nics.flatMap(({ name, index, binding, plugin, network }): Fault[] => {
    const place = `spec.domain.devices.interfaces[${index}]`;
    if (UNBUILT_NETWORKS.has(network.kind)) {
      const message = `${place}: this version of Patchbay cannot connect the ${network.kind} network "${name}".`;
      return [new Fault("PB4021", message, { place, cure: "Use a pod, multus or genie network." })];
    }
    if (!UNBUILT_BINDINGS.has(binding)) return [];
    const used = plugin === undefined ? binding : `binding: ${plugin.name}`;
    const message = `${place}: this version of Patchbay cannot build the binding "${used}".`;
    return [new Fault("PB4020", message, { place, cure: "Use masquerade or bridge.", data: { binding: used } })];
  });
}

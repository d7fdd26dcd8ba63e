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

/** Throws PB4021 for a NIC on a network, PB4020 for one with a binding, that cannot be built yet. */
export function refuseUnbuilt(nics: readonly NicContext[]): void {
  for (const { name, index, binding, plugin, network } of nics) {
    const place = `spec.domain.devices.interfaces[${index}]`;
    if (UNBUILT_NETWORKS.has(network.kind)) {
      throw new Fault(
        "PB4021",
        `${place}: this version of Patchbay cannot connect the ${network.kind} network "${name}".`,
        {
          place,
          cure: "Use a pod, multus or genie network.",
        },
      );
    }
    if (UNBUILT_BINDINGS.has(binding)) {
      const used = plugin === undefined ? binding : `binding: ${plugin.name}`;
      throw new Fault("PB4020", `${place}: this version of Patchbay cannot build the binding "${used}".`, {
        place,
        cure: "Use masquerade or bridge.",
        data: { binding: used },
      });
    }
  }
}

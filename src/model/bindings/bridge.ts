import { marker } from "../api/schema.ts";
import { nicProblem } from "../rules/subject.ts";
import type { Binding, MigrationVerdict, NicContext } from "./binding.ts";
import { inPodBridge } from "./in-pod-bridge.ts";

/** `bridge: {}` of an interface. */
export const bridgeSchema = marker(
  "Joins the guest to the pod's link with a Linux bridge: the guest takes over the pod's MAC and IPv4 address. No fields of its own.",
);

/** KubeVirt's word for moving a guest whose pod address does not come along (reference 8.1). */
export const POD_BRIDGE_MIGRATION = "kubevirt.io/allow-pod-bridge-network-live-migration";

/** The guest takes the pod's place on the pod's link, its MAC and its IPv4 address. */
export const bridge: Binding = {
  field: "bridge",
  wire: (nic, facts) => inPodBridge(nic, facts, true),
  migration,
  rules(nic) {
    if (nic.network?.pod === undefined || nic.subject.settings.permitBridgeOnPodNetwork) return [];
    return [
      nicProblem(nic, ["name"], {
        code: "PB2022",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" uses bridge on the pod network, which the configuration forbids.`,
        cure: "Use masquerade, or set permitBridgeInterfaceOnPodNetwork in spec.configuration.network of the KubeVirt resource.",
      }),
    ];
  },
};

function migration(nic: NicContext): MigrationVerdict {
  if (nic.network.kind !== "pod" || POD_BRIDGE_MIGRATION in nic.annotations) return { migratable: true };
  return {
    migratable: false,
    reason: `The interface "${nic.name}" uses bridge on the pod network, whose address does not move with the guest; the annotation ${POD_BRIDGE_MIGRATION} allows it all the same.`,
  };
}

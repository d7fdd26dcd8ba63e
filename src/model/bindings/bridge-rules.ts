import { marker } from "../api/schema.ts";
import { nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `bridge: {}` of an interface. */
export const bridgeSchema = marker(
  "Joins the guest to the pod's link with a Linux bridge: the guest takes over the pod's MAC and IPv4 address. No fields of its own.",
);

export const bridgeRules: BindingRules = {
  field: "bridge",
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

import { marker } from "../api/schema.ts";
import { nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `macvtap: {}` of an interface. */
export const macvtapSchema = marker(
  "Connects the guest to the node's network through a macvtap link. Multus networks only, and only with the feature gate `Macvtap`.",
);

export const macvtapRules: BindingRules = {
  field: "macvtap",
  rules(nic) {
    if (nic.network === undefined) return [];
    if (!nic.subject.settings.gates.has("Macvtap")) {
      return [
        nicProblem(nic, ["name"], {
          code: "PB2023",
          type: "FieldValueInvalid",
          message: `The interface "${nic.nic.name}" uses macvtap, and the feature gate Macvtap is not open.`,
          cure: "Add Macvtap, with this capital, to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.",
        }),
      ];
    }
    if (nic.network.multus !== undefined) return [];
    return [
      nicProblem(nic, ["name"], {
        code: "PB2024",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" uses macvtap, and its network is not a multus one.`,
        cure: "Use a multus network whose NetworkAttachmentDefinition has a macvtap resource, or another binding.",
      }),
    ];
  },
};

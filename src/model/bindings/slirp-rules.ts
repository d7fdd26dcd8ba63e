import { marker } from "../api/schema.ts";
import { nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `slirp: {}` of an interface. */
export const slirpSchema = marker(
  "QEMU's user-mode network: TCP and UDP only, and in only to the listed `ports`. Pod network only, and only with `permitSlirpInterface`.",
);

export const slirpRules: BindingRules = {
  field: "slirp",
  rules(nic) {
    if (nic.network === undefined) return [];
    if (nic.network.pod === undefined) {
      return [
        nicProblem(nic, ["name"], {
          code: "PB2018",
          type: "FieldValueInvalid",
          message: `The interface "${nic.nic.name}" uses slirp, and its network is not the pod network.`,
          cure: "Use bridge on this network, or make the network a pod network.",
        }),
      ];
    }
    if (nic.subject.settings.permitSlirp) return [];
    return [
      nicProblem(nic, ["name"], {
        code: "PB2019",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" uses slirp, which the configuration does not permit.`,
        cure: "Use masquerade, or set permitSlirpInterface in spec.configuration.network of the KubeVirt resource.",
      }),
    ];
  },
};

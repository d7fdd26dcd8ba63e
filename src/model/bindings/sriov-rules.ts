import { marker } from "../api/schema.ts";
import { nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `sriov: {}` of an interface. */
export const sriovSchema = marker(
  "Hands the guest a virtual function of a network card (VFIO). For multus networks whose attachment definition names a device resource.",
);

export const sriovRules: BindingRules = {
  field: "sriov",
  rules(nic) {
    if (nic.network?.pod === undefined) return [];
    return [
      nicProblem(nic, ["sriov"], {
        code: "PB2301",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" uses sriov on the pod network, which has no device to hand over.`,
        cure: "Use a multus network whose NetworkAttachmentDefinition names a device resource.",
        stricter: true,
      }),
    ];
  },
};

import { marker } from "../api/schema.ts";
import { interfacesOf, type Nic, nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `passt: {}` of an interface. */
export const passtSchema = marker(
  "Connects the guest through a passt process, which speaks for it on the pod's sockets. Must be the only interface, on the pod network, with the feature gate `Passt`.",
);

/** `passtBinding: {}` of an interface, the newer form. */
export const passtBindingSchema = marker(
  "Connects the guest through a passt process by vhost-user. Pod network only, and only with the feature gate `PasstBinding`.",
);

export const passtRules: BindingRules = {
  field: "passt",
  rules(nic) {
    if (nic.network === undefined) return [];
    if (!nic.subject.settings.gates.has("Passt")) return [gateShut(nic, "PB2025", "passt", "Passt")];
    if (nic.network.pod === undefined) return [notOnPodNetwork(nic, "PB2026", "passt")];
    if (interfacesOf(nic.subject.spec).length === 1) return [];
    return [
      nicProblem(nic, ["name"], {
        code: "PB2027",
        type: "FieldValueInvalid",
        message: `The interface "${nic.nic.name}" uses passt and is not the only one.`,
        cure: "Remove the other interfaces and their networks, or use masquerade.",
      }),
    ];
  },
};

export const passtBindingRules: BindingRules = {
  field: "passtBinding",
  rules(nic) {
    const gate = nic.subject.settings.gates.has("PasstBinding")
      ? []
      : [gateShut(nic, "PB2071", "passtBinding", "PasstBinding")];
    const place = nic.network?.pod === undefined ? [notOnPodNetwork(nic, "PB2072", "passtBinding")] : [];
    return [...gate, ...place];
  },
};

function gateShut(nic: Nic, code: "PB2025" | "PB2071", binding: string, gate: string) {
  return nicProblem(nic, ["name"], {
    code,
    type: "FieldValueInvalid",
    message: `The interface "${nic.nic.name}" uses ${binding}, and the feature gate ${gate} is not open.`,
    cure: `Add ${gate}, with these capitals, to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.`,
  });
}

function notOnPodNetwork(nic: Nic, code: "PB2026" | "PB2072", binding: string) {
  return nicProblem(nic, ["name"], {
    code,
    type: "FieldValueInvalid",
    message: `The interface "${nic.nic.name}" uses ${binding}, and its network is not the pod network.`,
    cure: "Use bridge on this network, or make the network a pod network.",
  });
}

import { object, text } from "../api/schema.ts";
import { nearMiss } from "../near-miss.ts";
import type { Problem } from "../rules/problem.ts";
import { type Nic, nicProblem } from "../rules/subject.ts";
import type { BindingRules } from "./binding-rules.ts";

/** `binding: {name}` of an interface. */
export const pluginSchema = object(
  "Leaves the connection to a network binding plugin.",
  {
    name: text(
      "Name under which the plugin is registered in `spec.configuration.network.binding` of the KubeVirt resource.",
    ),
  },
  {},
);

export const pluginRules: BindingRules = {
  field: "binding",
  rules: (nic) => [...gateOpen(nic), ...standsAlone(nic), ...registered(nic)],
};

/** The gate went with KubeVirt 1.5. */
function gateOpen(nic: Nic): Problem[] {
  const { profile, settings } = nic.subject;
  if (profile !== "v1.1" || nic.network === undefined || settings.gates.has("NetworkBindingPlugins")) return [];
  return [
    nicProblem(nic, ["name"], {
      code: "PB2028",
      type: "FieldValueInvalid",
      message: `The interface "${nic.nic.name}" uses a binding plugin, and the feature gate NetworkBindingPlugins is not open.`,
      cure: "Add NetworkBindingPlugins to spec.configuration.developerConfiguration.featureGates of the KubeVirt resource.",
    }),
  ];
}

function standsAlone(nic: Nic): Problem[] {
  const { bridge, masquerade, sriov, slirp, macvtap, passt, passtBinding } = nic.nic;
  const others = { bridge, masquerade, sriov, slirp, macvtap, passt, passtBinding };
  const used = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (used.length === 0) return [];
  return [
    nicProblem(nic, ["binding"], {
      code: "PB2055",
      type: "FieldValueInvalid",
      message: `The interface "${nic.nic.name}" has both a binding plugin and ${used.join(", ")}.`,
      cure: "Keep one of them.",
    }),
  ];
}

function registered(nic: Nic): Problem[] {
  const name = nic.nic.binding?.name ?? "";
  const { plugins } = nic.subject.settings;
  if (plugins.has(name)) return [];
  const near = nearMiss(name, plugins.keys());
  return [
    nicProblem(nic, ["binding", "name"], {
      code: "PB2303",
      type: "FieldValueInvalid",
      message:
        name === ""
          ? `The interface "${nic.nic.name}" names no binding plugin.`
          : `The interface "${nic.nic.name}" uses the binding plugin "${name}", which is not registered.`,
      cure:
        near === undefined
          ? "Register the plugin in spec.configuration.network.binding of the KubeVirt resource."
          : `Did you mean "${near}"?`,
      stricter: true,
    }),
  ];
}

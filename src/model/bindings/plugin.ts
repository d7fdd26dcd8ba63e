import type { BindingSays } from "../explain/claim.ts";
import { Fault } from "../fault.ts";
import { nearMiss } from "../near-miss.ts";
import { tapName } from "../networks/pod-interface.ts";
import type { Problem } from "../rules/problem.ts";
import { type Nic, nicProblem } from "../rules/subject.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { Binding, MigrationVerdict, NicContext, NicWiring } from "./binding.ts";
import { builtInBinding } from "./built-in-plugins.ts";
import { inPodBridge } from "./in-pod-bridge.ts";
import { wireMacvtap } from "./macvtap.ts";
import { guestNic, podLink, untouched } from "./pod-link.ts";

/** A network binding plugin connects the NIC, as far as its registration says (reference 5.4). */
export const plugin: Binding = {
  field: "binding",
  wire: wirePlugin,
  migration,
  explain,
  rules: (nic) => [...gateOpen(nic), ...registered(nic)],
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
      ...(plugins.size === 0 ? {} : { expected: `one of ${[...plugins.keys()].join(", ")}` }),
      cure:
        near === undefined
          ? "Register the plugin in spec.configuration.network.binding of the KubeVirt resource."
          : `Did you mean "${near}"?`,
      stricter: true,
    }),
  ];
}

function wirePlugin(nic: NicContext, facts: PodFacts): NicWiring {
  const name = nic.plugin?.name ?? "";
  const known = builtInBinding(nic.plugin);
  if (known !== undefined) return known.wire(nic, facts);
  switch (nic.plugin?.domainAttachmentType) {
    case "managedTap":
      return inPodBridge(nic, facts, false);
    case "tap":
      return wireTap(nic, facts);
    default: {
      const link = podLink(nic, facts);
      const attachment = { kind: "plugin", plugin: name } as const;
      return { kernel: untouched, nic: guestNic(nic, { attachment, mac: nic.mac ?? link.mac, mtu: link.mtu }) };
    }
  }
}

/** The tap that the plugin's CNI made beside the pod's link, else the link itself, which is then one or a macvtap. */
function wireTap(nic: NicContext, facts: PodFacts): NicWiring {
  const link = podLink(nic, facts);
  const tap = facts.links.find(({ name }) => name === tapName(nic.podInterface)) ?? link;
  if (tap.kind === "macvtap") return wireMacvtap(nic, tap);
  if (tap.kind !== "tun") {
    const name = nic.plugin?.name ?? "";
    throw new Fault(
      "PB4007",
      `The pod's link "${tap.name}" is of kind "${tap.kind}" where the binding plugin "${name}" needs a tap or macvtap.`,
      {
        place: tap.name,
        cure: `Let the plugin's networkAttachmentDefinition make the tap "${tapName(nic.podInterface)}", or register the plugin with domainAttachmentType: managedTap.`,
        data: { link: tap.name, kind: tap.kind },
      },
    );
  }
  const attachment = { kind: "tap", device: tap.name, queues: nic.queues } as const;
  return { kernel: untouched, nic: guestNic(nic, { attachment, mac: nic.mac ?? link.mac, mtu: tap.mtu }) };
}

/** Only the primary network's plugin decides (reference 8.1). */
function migration(nic: NicContext): MigrationVerdict {
  const { plugin: used, network } = nic;
  if (network.kind !== "pod" || used?.migration !== undefined) return { migratable: true };
  return {
    migratable: false,
    reason: `The interface "${nic.name}" uses the binding plugin "${used?.name ?? ""}" on the pod network, and its registration says nothing of migration.`,
  };
}

function explain(nic: NicContext, facts: PodFacts, wired: NicWiring): BindingSays {
  const { attachment, mac } = wired.nic;
  const { name = "", sidecarImage, networkAttachmentDefinition, computeResourceOverhead } = nic.plugin ?? {};
  const known = builtInBinding(nic.plugin)?.explain(nic, facts, wired);
  const who = `the binding plugin "${name}"`;
  const how =
    attachment.kind === "plugin"
      ? `How is for ${who} to say: it plugs the NIC itself`
      : `${capital(who)} decides what comes by; the NIC with MAC ${mac} is plugged into ${attachment.kind === "tap" || attachment.kind === "macvtap" ? attachment.device : "it"}`;
  const memory = computeResourceOverhead?.requests?.["memory"];
  return {
    in: known?.in ?? { statement: `${how}.`, addresses: [], ports: "plugin" },
    "in-icmp": known?.["in-icmp"] ?? {
      statement: `Who answers echo requests is for ${who} to say.`,
      answeredBy: "plugin",
    },
    out: known?.out ?? { statement: `What the guest reaches is for ${who} to say.`, seenAs: [] },
    ...(memory === undefined
      ? {}
      : {
          memory: {
            statement: `On KubeVirt the pod asks for ${memory} more memory, once for ${who}.`,
            overhead: memory,
          },
        }),
    needs: [
      { what: "registration", name, phrase: `${who} in spec.configuration.network.binding of the KubeVirt resource` },
      ...(networkAttachmentDefinition === undefined
        ? []
        : [
            {
              what: "definition",
              name: networkAttachmentDefinition,
              phrase: `the NetworkAttachmentDefinition ${networkAttachmentDefinition} of ${who}`,
            } as const,
          ]),
      ...(sidecarImage === undefined || known !== undefined
        ? []
        : [{ what: "add-on", name: sidecarImage, phrase: `the sidecar image ${sidecarImage}` } as const]),
    ],
  };
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

import type { BindingSays } from "../explain/claim.ts";
import { Fault } from "../fault.ts";
import { nicProblem } from "../rules/subject.ts";
import type { LinkFacts } from "../wiring/facts.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestNic, podLink, untouched } from "./pod-link.ts";

/** The guest is on the node's own network: the pod's link is a macvtap, and QEMU holds it. */
export const macvtap: Binding = {
  field: "macvtap",
  wire(nic, facts) {
    const link = podLink(nic, facts);
    if (link.kind === "macvtap") return wireMacvtap(nic, link);
    throw new Fault(
      "PB4007",
      `The pod's link "${link.name}" is of kind "${link.kind}" where macvtap needs a macvtap.`,
      {
        place: link.name,
        cure: "Use a NetworkAttachmentDefinition of the CNI type macvtap, or the bridge binding.",
        data: { link: link.name, kind: link.kind },
      },
    );
  },
  migration: () => ({ migratable: true }),
  explain: (nic, _, { nic: { mac } }) => ({
    ...onTheNodesNetwork(nic, mac),
    needs: [
      { what: "gate", name: "Macvtap", phrase: "the feature gate Macvtap" },
      { what: "device", name: nic.name, phrase: "a device plugin that hands out macvtap devices, and its CNI plugin" },
    ],
  }),
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

/** The link passes frames for its own MAC only, so that link and guest have the same. */
export function wireMacvtap(nic: NicContext, { name, mac: own, mtu }: LinkFacts): NicWiring {
  const mac = nic.mac ?? own;
  return {
    kernel: { ...untouched, links: [{ kind: "pod", name, from: name, mac, mtu }] },
    nic: guestNic(nic, { attachment: { kind: "macvtap", device: name, queues: nic.queues }, mac, mtu }),
  };
}

/** What holds of every guest that is on the node's own network with a MAC of its own. */
export function onTheNodesNetwork(nic: NicContext, mac: string): Omit<BindingSays, "needs"> {
  return {
    in: {
      statement: `Whoever is on the network "${nic.name}" of the node reaches the guest by the addresses that it has there, on every port, at MAC ${mac}; the node itself does not, as a macvtap keeps the two apart.${nic.ports.length === 0 ? "" : " The ports that are listed limit nothing."}`,
      addresses: [],
      ports: "all",
    },
    "in-icmp": { statement: "Echo requests are answered by the guest.", answeredBy: "guest" },
    out: {
      statement: `The guest reaches whatever is on the network "${nic.name}" and beyond, as itself.`,
      seenAs: [],
    },
  };
}

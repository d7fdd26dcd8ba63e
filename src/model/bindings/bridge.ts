import { formatIp } from "../addresses/ip.ts";
import { type BindingSays, listed } from "../explain/claim.ts";
import { isPrimary } from "../networks/network.ts";
import { nicProblem } from "../rules/subject.ts";
import { globalAddresses, type PodFacts } from "../wiring/facts.ts";
import type { Binding, MigrationVerdict, NicContext, NicWiring } from "./binding.ts";
import { inPodBridge } from "./in-pod-bridge.ts";
import { podLink } from "./pod-link.ts";

/** KubeVirt's word for moving a guest whose pod address does not come along (reference 8.1). */
export const POD_BRIDGE_MIGRATION = "kubevirt.io/allow-pod-bridge-network-live-migration";

/** The guest takes the pod's place on the pod's link, its MAC and its IPv4 address. */
export const bridge: Binding = {
  field: "bridge",
  wire: (nic, facts) => inPodBridge(nic, facts, true),
  migration,
  explain,
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

function explain(nic: NicContext, facts: PodFacts, { services, nic: { mac } }: NicWiring): BindingSays {
  const link = podLink(nic, facts);
  const { clientAddress } = services?.dhcp4 ?? {};
  const six = globalAddresses(link, 6).map(({ address }) => formatIp(address));
  const onPod = isPrimary(nic.network, nic.podInterface);
  const where = onPod ? "on the pod's network" : `on the network "${nic.name}"`;
  const as = clientAddress === undefined ? "by the addresses that it gives itself" : `at ${clientAddress}`;
  return {
    in: {
      statement: `Whoever is ${where} reaches the guest ${as}, on every port: it is there with its own MAC ${mac}.${nic.ports.length === 0 ? "" : " The ports that are listed limit nothing."}`,
      addresses: clientAddress === undefined ? [] : [clientAddress],
      ports: "all",
    },
    "in-icmp": { statement: "Echo requests are answered by the guest.", answeredBy: "guest" },
    out: {
      statement: `The guest reaches whatever a machine ${where} reaches, as itself; the pod keeps nothing for itself${clientAddress === undefined ? "" : " but the guest's DHCP, which it answers"}.${six.length === 0 ? "" : ` The pod's ${listed(six)} is not handed over: there is no DHCPv6 on a bridge, and the guest takes what routers out there advertise.`}`,
      seenAs: clientAddress === undefined ? [] : [clientAddress],
    },
    needs:
      nic.network.kind === "pod"
        ? [
            {
              what: "setting",
              name: "permitBridgeInterfaceOnPodNetwork",
              phrase: "permitBridgeInterfaceOnPodNetwork not to be false",
            },
          ]
        : [],
  };
}

import { derivedMac } from "../addresses/mac.ts";
import { marker } from "../api/schema.ts";
import { type BindingSays, listed, type Need } from "../explain/claim.ts";
import { portsText } from "../explain/ports.ts";
import { interfacesOf, type Nic, nicProblem } from "../rules/subject.ts";
import { type PodFacts, podAddresses } from "../wiring/facts.ts";
import type { PasstPorts } from "../wiring/wiring.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestNic, podLink, untouched } from "./pod-link.ts";

/** `passt: {}` of an interface. */
export const passtSchema = marker(
  "Connects the guest through a passt process, which speaks for it on the pod's sockets. Must be the only interface, on the pod network, with the feature gate `Passt`.",
);

/** `passtBinding: {}` of an interface, the newer form. */
export const passtBindingSchema = marker(
  "Connects the guest through a passt process by vhost-user. Pod network only, and only with the feature gate `PasstBinding`.",
);

const passtGate = (name: string): Need => ({ what: "gate", name, phrase: `the feature gate ${name}` });

/** A passt process speaks for the guest, which has the pod's own addresses; the sole interface, as KubeVirt 1.1 has it. */
export const passt: Binding = {
  field: "passt",
  wire: wirePasst,
  migration: (nic) => ({
    migratable: false,
    reason: `The interface "${nic.name}" uses passt, whose connections are its process's own and stay behind.`,
  }),
  explain: (nic, facts, wired) => ({
    ...explain(nic, facts, wired),
    ...(nic.ports.length > 0
      ? {}
      : {
          memory: {
            statement:
              "On KubeVirt the pod asks for 800Mi more memory, as passt listens on every port there is; listing the ports that are wanted avoids it.",
            kubeVirtMebibytes: 800,
          },
        }),
    needs: [passtGate("Passt")],
  }),
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

/** The same as KubeVirt 1.8 has it: beside other interfaces, and migratable. */
export const passtBinding: Binding = {
  field: "passtBinding",
  wire: wirePasst,
  migration: () => ({ migratable: true }),
  explain: (nic, facts, wired) => ({
    ...explain(nic, facts, wired),
    memory: {
      statement: "On KubeVirt the pod asks for 250Mi more memory, once for all such interfaces.",
      kubeVirtMebibytes: 250,
    },
    needs: [passtGate("PasstBinding")],
  }),
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

function wirePasst(nic: NicContext, facts: PodFacts): NicWiring {
  const link = podLink(nic, facts);
  return {
    kernel: {
      ...untouched,
      sysctls: [
        // passt has no privilege: echo requests need the one, ports below 1024 the other.
        { key: "net/ipv4/ping_group_range", value: "0 2147483647" },
        { key: "net/ipv4/ip_unprivileged_port_start", value: "0" },
      ],
    },
    nic: guestNic(nic, {
      attachment: { kind: "stream", process: "passt", device: link.name, ports: portsOf(nic) },
      // passt itself has the link's.
      mac: nic.mac ?? derivedMac(facts.podUid, nic.name),
      mtu: link.mtu,
    }),
  };
}

/** All of both protocols where the manifest lists none (reference 5.4). */
function portsOf({ ports }: NicContext): PasstPorts {
  if (ports.length === 0) return { tcp: "all", udp: "all" };
  const of = (wanted: string): number[] =>
    [...new Set(ports.filter(({ protocol }) => protocol === wanted).map(({ port }) => port))].toSorted((a, b) => a - b);
  return { tcp: of("tcp"), udp: of("udp") };
}

function explain(nic: NicContext, facts: PodFacts, { nic: { attachment } }: NicWiring): Omit<BindingSays, "needs"> {
  const addresses = podAddresses(facts, nic.podInterface);
  const ports = attachment.kind === "stream" ? attachment.ports : { tcp: [], udp: [] };
  const all = nic.ports.length === 0;
  return {
    in: {
      statement: `Whoever reaches the pod reaches the guest at ${listed(addresses)} on ${all ? "every TCP and UDP port" : portsText(nic.ports)}, where passt listens for it; the guest has these addresses itself.`,
      addresses,
      ports: all ? "all" : ports,
    },
    "in-icmp": { statement: "Echo requests to the pod are answered by the pod.", answeredBy: "pod" },
    out: {
      statement: `The guest reaches by TCP, UDP and ICMP echo whatever the pod reaches, as ${listed(addresses)}; passt makes its connections. A service mesh of the pod sees them as any process's.`,
      seenAs: addresses,
    },
  };
}

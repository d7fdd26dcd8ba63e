import { derivedMac } from "../addresses/mac.ts";
import { marker } from "../api/schema.ts";
import { DEFAULT_VM_NETWORK_CIDR } from "../networks/pod-interface.ts";
import { nicProblem } from "../rules/subject.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestDns } from "./guest-dns.ts";
import { guestNic, untouched } from "./pod-link.ts";

/** `slirp: {}` of an interface. */
export const slirpSchema = marker(
  "QEMU's user-mode network: TCP and UDP only, and in only to the listed `ports`. Pod network only, and only with `permitSlirpInterface`.",
);

/** QEMU's user network knows no other. */
const MTU = 1500;

/** QEMU itself speaks for the guest with sockets in the pod: nothing is built. */
export const slirp: Binding = {
  field: "slirp",
  wire: wireSlirp,
  migration: (nic) => ({
    migratable: false,
    reason: `The interface "${nic.name}" uses slirp, whose connections are QEMU's own and stay behind.`,
  }),
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

function wireSlirp(nic: NicContext, facts: PodFacts): NicWiring {
  const cidr = nic.network.kind === "pod" ? nic.network.vmNetworkCIDR : DEFAULT_VM_NETWORK_CIDR;
  const { search } = guestDns(facts.resolver, nic.subdomain);
  const seen = new Set<string>();
  const forwards = nic.ports.filter(({ protocol, port }) => {
    const key = `${protocol} ${port}`;
    return !seen.has(key) && seen.add(key);
  });
  return {
    kernel: untouched,
    nic: guestNic(nic, {
      attachment: { kind: "user", cidr, forwards, search },
      mac: nic.mac ?? derivedMac(facts.podUid, nic.name),
      mtu: MTU,
    }),
  };
}

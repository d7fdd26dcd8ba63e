import { hostAddress, parseCidr } from "../addresses/cidr.ts";
import { formatIp } from "../addresses/ip.ts";
import { derivedMac } from "../addresses/mac.ts";
import { marker } from "../api/schema.ts";
import { type BindingSays, listed } from "../explain/claim.ts";
import { portsText } from "../explain/ports.ts";
import { DEFAULT_VM_NETWORK_CIDR } from "../networks/pod-interface.ts";
import { nicProblem } from "../rules/subject.ts";
import { type PodFacts, podAddresses } from "../wiring/facts.ts";
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
  explain,
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
    nic: {
      ...guestNic(nic, {
        attachment: { kind: "user", cidr, forwards, search },
        mac: nic.mac ?? derivedMac(facts.podUid, nic.name),
        mtu: MTU,
      }),
      // Whatever else is asked for (reference 5.4).
      model: nic.model === "rtl8139" ? nic.model : "e1000",
      queues: 1,
    },
  };
}

/** QEMU's own choice of addresses in its network (reference 5.4). */
const GUEST_HOST = 15;
const GATEWAY_HOST = 2;
const DNS_HOST = 3;

function explain(nic: NicContext, facts: PodFacts, { nic: guest }: NicWiring): BindingSays {
  const { attachment } = guest;
  const user = attachment.kind === "user" ? attachment : undefined;
  const host = (offset: number): string => {
    const cidr = parseCidr(user?.cidr ?? "");
    const address = cidr === undefined ? undefined : hostAddress(cidr, offset);
    return address === undefined ? "?" : formatIp(address);
  };
  const forwards = user?.forwards ?? [];
  const addresses = podAddresses(facts, nic.podInterface);
  return {
    in: {
      statement:
        forwards.length === 0
          ? "Nobody reaches the guest: slirp lets in only the ports that are listed, and there are none."
          : `Whoever reaches the pod reaches the guest at ${listed(addresses)} on ${portsText(forwards)}, where QEMU listens for it; nothing else comes in.`,
      addresses: forwards.length === 0 ? [] : addresses,
      ports: forwards,
    },
    "in-icmp": { statement: "Echo requests to the pod are answered by the pod.", answeredBy: "pod" },
    out: {
      statement: `The guest reaches by TCP and UDP whatever the pod reaches, as connections of QEMU's own; no other protocol gets out, ICMP included. It is ${host(GUEST_HOST)}, its gateway ${host(GATEWAY_HOST)} and its name server ${host(DNS_HOST)}, which QEMU's own DHCP tells it.`,
      seenAs: addresses,
      guest: host(GUEST_HOST),
      gateway: host(GATEWAY_HOST),
      nameserver: host(DNS_HOST),
    },
    needs: [{ what: "setting", name: "permitSlirpInterface", phrase: "permitSlirpInterface to be true" }],
  };
}

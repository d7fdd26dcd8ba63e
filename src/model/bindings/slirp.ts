import { hostAddress, parseCidr } from "../addresses/cidr.ts";
import { familyOf, formatIp } from "../addresses/ip.ts";
import { derivedMac } from "../addresses/mac.ts";
import { type BindingSays, listed } from "../explain/claim.ts";
import { portsText } from "../explain/ports.ts";
import { Fault } from "../fault.ts";
import { DEFAULT_VM_NETWORK_CIDR } from "../networks/pod-interface.ts";
import { nicProblem } from "../rules/subject.ts";
import { globalAddresses, type PodFacts, podAddresses } from "../wiring/facts.ts";
import type { Forward, UserNetwork } from "../wiring/wiring.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestDns, unsaidSearch } from "./guest-dns.ts";
import { guestNic, podLink, untouched } from "./pod-link.ts";

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
  const link = podLink(nic, facts);
  const cidr = nic.network.kind === "pod" ? nic.network.vmNetworkCIDR : DEFAULT_VM_NETWORK_CIDR;
  const dns = guestDns(facts.resolver, nic.subdomain);
  const families = ([4, 6] as const).filter((family) => globalAddresses(link, family).length > 0);
  if (families.length === 0) {
    throw new Fault("PB4005", `The pod's link "${link.name}" has no address, so slirp has nothing to speak from.`, {
      place: link.name,
      cure: "Give the pod network an IPAM section in its CNI configuration.",
    });
  }
  const forwards = families.includes(4) ? distinct(nic.ports) : [];
  if (forwards.length > MOST_FORWARDS) throw tooManyPorts(nic, forwards.length);
  return {
    kernel: {
      ...untouched,
      sysctls: forwards.some(({ port }) => port < FIRST_UNPRIVILEGED_PORT)
        ? // QEMU has no privilege.
          [{ key: "net/ipv4/ip_unprivileged_port_start", value: "0" }]
        : [],
    },
    nic: {
      ...guestNic(nic, {
        attachment: {
          kind: "user",
          cidr,
          ...hostsOf(nic, cidr),
          families,
          forwards,
          nameservers: [...dns.nameservers4, ...dns.nameservers6],
          search: dns.sound,
        },
        mac: nic.mac ?? derivedMac(facts.podUid, nic.name),
        mtu: MTU,
      }),
      // Whatever else is asked for (reference 5.4).
      model: nic.model === "rtl8139" ? nic.model : "e1000",
      queues: 1,
    },
  };
}

const FIRST_UNPRIVILEGED_PORT = 1024;

/** They are all in one argument of QEMU's, and Linux takes none above 128 KiB (execve(2)). */
const MOST_FORWARDS = 4096;

function tooManyPorts({ name, index }: NicContext, count: number): Fault {
  return new Fault(
    "PB4027",
    `The interface "${name}" lists ${count} ports, and slirp lets in at most ${MOST_FORWARDS}: QEMU is told them one by one.`,
    {
      place: `spec.domain.devices.interfaces[${index}].ports`,
      cure: "List fewer, or use masquerade without ports, which lets in every port.",
      data: { count },
    },
  );
}

/** Each once: QEMU does not start where it is to listen twice. */
function distinct(ports: readonly Forward[]): readonly Forward[] {
  const seen = new Set<string>();
  return ports
    .flatMap(({ protocol, port, last = port }) =>
      Array.from({ length: last - port + 1 }, (_, offset) => ({ protocol, port: port + offset })),
    )
    .filter(({ protocol, port }) => {
      const key = `${protocol} ${port}`;
      return !seen.has(key) && seen.add(key);
    });
}

/** QEMU's own choice of addresses, in its network's last 16 bits (reference 5.4). */
const QEMUS_HOSTS = { gateway: 0x0202, nameserver: 0x0203, guest: 0x020f } as const;
/** Where the network is too small for QEMU's guest, which would get the broadcast address. */
const SMALL_HOSTS = { ...QEMUS_HOSTS, guest: 4 } as const;
const SMALL_PREFIX = 28;
/** Gateway, name server and guest, beside the network and broadcast addresses. */
const LONGEST_PREFIX = 29;

/** The addresses in the guest's network. Throws PB4003 where it has no room for them. */
function hostsOf(nic: NicContext, text: string): Pick<UserNetwork, "gateway" | "nameserver" | "guest"> {
  const cidr = parseCidr(text);
  if (cidr === undefined || cidr.family !== 4 || cidr.prefixLength > LONGEST_PREFIX) {
    throw new Fault("PB4003", `vmNetworkCIDR "${text}" cannot be a network of slirp.`, {
      place: `spec.networks[${nic.networkIndex}].pod.vmNetworkCIDR`,
      cure: `slirp has a gateway, a name server and the guest in it: use an IPv4 network of /${LONGEST_PREFIX} or shorter.`,
      data: { cidr: text },
    });
  }
  const hosts = cidr.prefixLength < SMALL_PREFIX ? QEMUS_HOSTS : SMALL_HOSTS;
  const within = 2 ** (32 - cidr.prefixLength);
  const at = (offset: number): string => formatIp(hostAddress(cidr, offset % within) ?? cidr.address);
  return { gateway: at(hosts.gateway), nameserver: at(hosts.nameserver), guest: at(hosts.guest) };
}

function explain(nic: NicContext, facts: PodFacts, { nic: { attachment } }: NicWiring): BindingSays {
  if (attachment.kind !== "user") throw new Fault("PB4001", `The interface "${nic.name}" is not slirp's.`);
  const { forwards, families, guest, gateway, nameserver } = attachment;
  const addresses = podAddresses(facts, nic.podInterface);
  // QEMU listens by IPv4 alone.
  const reached = forwards.length === 0 ? [] : addresses.filter((address) => familyOf(address) === 4);
  const four = `It is ${guest}, its gateway ${gateway} and its name server ${nameserver}, which QEMU's own DHCP tells it.`;
  const six = "QEMU advertises it an IPv6 network of its own, fec0::/64.";
  return {
    in: {
      statement:
        reached.length === 0
          ? `Nobody reaches the guest: slirp lets in only the ports that are listed, by IPv4, and there ${nic.ports.length === 0 ? "are none" : "is no IPv4"}.`
          : `Whoever reaches the pod reaches the guest at ${listed(reached)} on ${portsText(forwards)}, where QEMU listens for it; nothing else comes in, and nothing by IPv6.`,
      addresses: reached,
      ports: forwards,
    },
    "in-icmp": { statement: "Echo requests to the pod are answered by the pod.", answeredBy: "pod" },
    out: {
      statement: `The guest reaches by TCP and UDP whatever the pod reaches, as connections of QEMU's own; no other protocol gets out, ICMP included. ${[...(families.includes(4) ? [four] : []), ...(families.includes(6) ? [six] : [])].join(" ")}${unsaidSearch(guestDns(facts.resolver, nic.subdomain))}`,
      seenAs: addresses,
      ...(families.includes(4) ? { guest, gateway, nameserver } : {}),
    },
    needs: [{ what: "setting", name: "permitSlirpInterface", phrase: "permitSlirpInterface to be true" }],
  };
}

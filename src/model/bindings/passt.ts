import { parseCidr } from "../addresses/cidr.ts";
import { familyOf } from "../addresses/ip.ts";
import { derivedMac } from "../addresses/mac.ts";
import { type BindingSays, listed, type Need } from "../explain/claim.ts";
import { listenedText } from "../explain/ports.ts";
import { Fault } from "../fault.ts";
import { interfacesOf, type Nic, nicProblem } from "../rules/subject.ts";
import { globalAddresses, type LinkFacts, type PodFacts, podAddresses } from "../wiring/facts.ts";
import { type Forward, PASST_LAST_PORT, type PasstListens, type PasstPorts, type PortRun } from "../wiring/wiring.ts";
import type { Binding, NicContext, NicWiring } from "./binding.ts";
import { guestDns, unsaidSearch } from "./guest-dns.ts";
import { isMeshed, PROXY_PORTS } from "./masquerade-nat.ts";
import { guestNic, podLink, untouched } from "./pod-link.ts";

const passtGate = (name: string): Need => ({ what: "gate", name, phrase: `the feature gate ${name}` });

/** What KubeVirt adds to the memory that a pod asks for (reference 4.9): for each `passt` without ports, and for `passtBinding`. */
const EVERY_PORT_MEBIBYTES = 800;
const BINDING_MEBIBYTES = 250;

/** So many search domains passt takes; with one more it does not start. */
const PASST_SEARCHES = 6;

/** The octets that the pod of these NICs asks for beside the guest's memory, for passt. */
export function passtOverhead(nics: readonly Pick<NicContext, "binding" | "ports">[]): bigint {
  const open = nics.filter(({ binding, ports }) => binding === "passt" && ports.length === 0).length;
  const newer = nics.some(({ binding }) => binding === "passtBinding") ? BINDING_MEBIBYTES : 0;
  return BigInt(open * EVERY_PORT_MEBIBYTES + newer) << 20n;
}

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
            statement: `On KubeVirt the pod asks for ${EVERY_PORT_MEBIBYTES}Mi more memory, as passt listens on every port there is; listing the ports that are wanted avoids it.`,
            kubeVirtMebibytes: EVERY_PORT_MEBIBYTES,
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
      statement: `On KubeVirt the pod asks for ${BINDING_MEBIBYTES}Mi more memory, once for all such interfaces.`,
      kubeVirtMebibytes: BINDING_MEBIBYTES,
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
  const families = familiesOf(link, facts);
  const dns = guestDns(facts.resolver, nic.subdomain);
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
      attachment: {
        kind: "stream",
        process: "passt",
        device: link.name,
        families,
        ports: listenedOn(nic, facts, families.length),
        nameservers: [...dns.nameservers4, ...dns.nameservers6],
        search: dns.sound.slice(0, PASST_SEARCHES),
      },
      // passt itself has the link's.
      mac: nic.mac ?? derivedMac(facts.podUid, nic.name),
      mtu: link.mtu,
    }),
  };
}

/** Those of which the link has an address and a way out by a gateway: of any other passt gives the guest nothing. */
function familiesOf(link: LinkFacts, facts: PodFacts): readonly (4 | 6)[] {
  const addressed = ([4, 6] as const).filter((family) => globalAddresses(link, family).length > 0);
  if (addressed.length === 0) {
    throw new Fault("PB4005", `The pod's link "${link.name}" has no address, so passt has none to give the guest.`, {
      place: link.name,
      cure: "Give the pod network an IPAM section in its CNI configuration.",
    });
  }
  const routed = addressed.filter((wanted) =>
    facts.routes.some(
      ({ family, destination, gateway, device }) =>
        family === wanted &&
        device === link.name &&
        gateway !== undefined &&
        parseCidr(destination)?.prefixLength === 0,
    ),
  );
  if (routed.length > 0) return routed;
  throw new Fault("PB4006", `The pod's link "${link.name}" has an address and no default route, which passt needs.`, {
    place: link.name,
    cure: "Let the pod network's CNI configuration give a default route with a gateway: isGateway or isDefaultGateway of the bridge plugin, or routes of its ipam.",
  });
}

const HIGHEST_PORT = 65535;

/** The ports by the table of reference 5.4: a mesh's proxy keeps its own. */
function listenedOn(nic: NicContext, facts: PodFacts, families: number): PasstPorts {
  const kept = isMeshed(nic) ? PROXY_PORTS : [];
  if (nic.ports.length === 0) {
    const { tcp, udp } = withinLimit(facts, families, kept.length > 0);
    return { tcp: tcp === PASST_LAST_PORT && kept.length === 0 ? "all" : runsOf(1, tcp, kept), udp };
  }
  const of = (wanted: Forward["protocol"], without: readonly number[]): readonly PortRun[] => {
    const wished = nic.ports.filter(({ protocol }) => protocol === wanted);
    const covered = joined(wished.map(({ port, last = port }) => [port, Math.min(last, HIGHEST_PORT)]));
    return covered.flatMap(([first, last]) => runsOf(first, last, without));
  };
  return { tcp: of("tcp", kept), udp: of("udp", []) };
}

/** Runs of ports in order, those that meet as one. */
function joined(runs: readonly (readonly [first: number, last: number])[]): readonly (readonly [number, number])[] {
  const merged: [number, number][] = [];
  for (const [first, last] of runs.toSorted(([one], [other]) => one - other)) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** From `first` to `last`, but for some. */
function runsOf(first: number, last: number, without: readonly number[]): readonly PortRun[] {
  const cuts = without.filter((port) => port >= first && port <= last).toSorted((one, other) => one - other);
  const starts = [first, ...cuts.map((port) => port + 1)];
  const ends = [...cuts.map((port) => port - 1), last];
  return starts.flatMap((port, index): PortRun[] => {
    const end = ends[index] ?? last;
    return end < port ? [] : end === port ? [{ port }] : [{ port, last: end }];
  });
}

/** Files that passt keeps for itself and for the connections that it makes. */
const OTHER_FILES = 1024;
/** UDP ports that are listened on first where there are not enough files for all: the well-known ones. */
const FIRST_UDP_PORTS = 1023;

/**
 * The last TCP port, and the UDP ports, that passt can listen on: each takes an open file, UDP one a family. passt does
 * not start where it wants more than it may have.
 */
function withinLimit(
  { openFiles = Number.POSITIVE_INFINITY }: PodFacts,
  families: number,
  meshed: boolean,
): { readonly tcp: number; readonly udp: PasstListens } {
  const room = Math.max(openFiles - OTHER_FILES, 0);
  const first = meshed ? 0 : Math.min(FIRST_UDP_PORTS, Math.floor(room / (families + 1)));
  const tcp = Math.min(PASST_LAST_PORT, room - first * families);
  const udp = meshed ? 0 : Math.min(PASST_LAST_PORT, Math.floor((room - tcp) / families));
  return { tcp, udp: udp === PASST_LAST_PORT ? "all" : runsOf(1, udp, []) };
}

function explain(nic: NicContext, facts: PodFacts, { nic: { attachment } }: NicWiring): Omit<BindingSays, "needs"> {
  if (attachment.kind !== "stream") throw new Fault("PB4001", `The interface "${nic.name}" is not passt's.`);
  const { families, ports, device } = attachment;
  const short = fewerPortsOf([nic], facts);
  const addresses = podAddresses(facts, device).filter((address) =>
    families.some((family) => family === familyOf(address)),
  );
  return {
    in: {
      statement: `Whoever reaches the pod reaches the guest at ${listed(addresses)} on ${listenedText(ports)}, where passt listens for it; the guest has these addresses itself.${short === undefined ? "" : ` ${short.message} ${short.cure ?? ""}`}`,
      addresses,
      ports,
    },
    "in-icmp": { statement: "Echo requests to the pod are answered by the pod.", answeredBy: "pod" },
    out: {
      statement: `The guest reaches by TCP, UDP and ICMP echo whatever the pod reaches, as ${listed(addresses)}; passt makes its connections. A service mesh of the pod sees them as any process's.${unsaidSearch(guestDns(facts.resolver, nic.subdomain), PASST_SEARCHES)}`,
      seenAs: addresses,
    },
  };
}

/** PB4025 for a NIC of which passt listens on fewer ports than a manifest without any asks for. */
export function fewerPortsOf(nics: readonly NicContext[], facts: PodFacts): Fault | undefined {
  const { openFiles } = facts;
  const nic = nics.find(
    ({ binding, ports }) => (binding === "passt" || binding === "passtBinding") && ports.length === 0,
  );
  if (nic === undefined || openFiles === undefined) return undefined;
  const families = familiesOf(podLink(nic, facts), facts).length;
  const ports = listenedOn(nic, facts, families);
  const { openFiles: _, ...unlimited } = facts;
  if (listenedText(ports) === listenedText(listenedOn(nic, unlimited, families))) return undefined;
  return new Fault(
    "PB4025",
    `The guest is reached on ${listenedText(ports)} alone by the interface "${nic.name}", not on every port: passt may have ${openFiles} files open here, and each port takes one.`,
    {
      place: `spec.domain.devices.interfaces[${nic.index}].ports`,
      cure: "List the ports that are wanted, or raise the limit of open files (ulimit -n, LimitNOFILE= of systemd) for the daemon and start the VM again.",
      data: { openFiles },
    },
  );
}

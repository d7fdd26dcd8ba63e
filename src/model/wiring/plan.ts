import { formatCidr } from "../addresses/cidr.ts";
import type { NicContext } from "../bindings/binding.ts";
import { type GuestHardware, guestPciAddress } from "../guest/hardware.ts";
import { decideHardware } from "../guest/hardware-decision.ts";
import { hardwareRequest, type Offered } from "../guest/hardware-request.ts";
import type { NicNetwork } from "../networks/network.ts";
import { globalAddresses, type PodFacts, type RouteFacts } from "./facts.ts";
import { renderTable } from "./nft.ts";
import { type NicsRequest, nicContexts, wire } from "./nics.ts";
import { type ConfigOf, factsFor } from "./typical-facts.ts";
import type { Attachment, Forward, NicServices, Wiring } from "./wiring.ts";

/** What would be built for a VMI, and nothing of it done: the shape of `patchbay plan -o json`. */
export interface Plan {
  readonly vmi: { readonly namespace: string; readonly name: string };
  readonly pod: {
    /** As they would be: those that the network made, the primary one first, then those that Patchbay adds. */
    readonly links: readonly PlannedLink[];
    readonly addresses: readonly { readonly link: string; readonly cidr: string }[];
    readonly routes: PodFacts["routes"];
    readonly sysctls: readonly { readonly key: string; readonly value: string }[];
    /** One nftables listing a table. */
    readonly nft: readonly string[];
  };
  readonly nics: readonly PlannedNic[];
}

export interface PlannedLink {
  /** The kernel's, of a link that the network made; else what Patchbay makes: `tap`, `bridge`, `dummy`. */
  readonly kind: string;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** What the network called it, where it gets another name. */
  readonly from?: string;
  readonly master?: string;
  readonly queues?: number;
}

export interface PlannedNic {
  readonly name: string;
  /** The field that chooses the binding; of a plugin its name. */
  readonly binding: string;
  readonly podInterface: string;
  readonly network: NicNetwork;
  /** Those of the manifest; what they mean is the binding's. */
  readonly ports: readonly Forward[];
  readonly guest: {
    readonly mac: string;
    readonly model: string;
    readonly mtu: number;
    readonly queues: number;
    /** `0000:01:00.0`: domain, bus, slot and function as the guest sees them. */
    readonly pci: string;
  };
  /** What QEMU is given. */
  readonly attachment: Attachment;
  readonly serve: Pick<NicServices, "dhcp4" | "dhcp6" | "ra">;
}

/** What a plan or an explanation needs to know of a defaulted VMI. */
export interface PlanRequest extends NicsRequest {
  readonly namespace: string;
  readonly name: string;
  /** True for the VMI of a VirtualMachine, which keeps what its first guest had. */
  readonly ofVm?: boolean;
  /** CNI configurations that are known. */
  readonly configOf?: ConfigOf;
}

/** The facts of a pod for the VMI as a cluster usually makes it. */
export function typicalFactsOf({ spec, namespace, configOf }: PlanRequest, nics: readonly NicContext[]): PodFacts {
  const { dnsPolicy, dnsConfig } = spec;
  return factsFor(nics, configOf ?? (() => undefined), { dnsPolicy, dnsConfig, namespace });
}

/** A plan asks no machine: one version that every node has, and every device that some QEMU has. */
const TYPICAL_QEMU: Offered = {
  accel: "tcg",
  machines: ["pc-q35-7.2"],
  devices: [
    "virtio-net-pci",
    "virtio-net-pci-transitional",
    "e1000",
    "e1000e",
    "igb",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "vfio-pci",
  ],
};

/** The hardware of a VMI's guest as a typical node and pod give it, and its NICs. Throws the Fault that would stop it. */
export function plannedGuest(request: PlanRequest): {
  readonly hardware: GuestHardware;
  readonly nics: Wiring["nics"];
} {
  const nics = nicContexts(request);
  const wiring = wire(nics, typicalFactsOf(request, nics));
  return { hardware: plannedHardware(request, wiring), nics: wiring.nics };
}

function plannedHardware({ spec, annotations }: PlanRequest, wiring: Wiring): GuestHardware {
  return decideHardware({
    ...hardwareRequest(spec.domain, wiring.nics, TYPICAL_QEMU, annotations),
    machine: typicalMachine(spec.domain.machine?.type),
  });
}

/** Plans a VMI on a typical pod, or on one of these facts. Throws the Fault that would stop it. */
export function planVmi(request: PlanRequest, given?: PodFacts): Plan {
  const { namespace, name } = request;
  const nics = nicContexts(request);
  const facts = given ?? typicalFactsOf(request, nics);
  const wiring = wire(nics, facts);
  const hardware = plannedHardware(request, wiring);
  return {
    vmi: { namespace, name },
    pod: plannedPod(facts, wiring),
    nics: nics.flatMap((nic, index) => {
      const guest = hardware.nics.find((candidate) => candidate.name === nic.name);
      const pci = guestPciAddress(hardware, nic.name);
      const attachment = wiring.nics[index]?.attachment;
      if (guest === undefined || pci === undefined || attachment === undefined) return [];
      const { mac, model, mtu, queues } = guest;
      const { dhcp4, dhcp6, ra } = wiring.services.find((candidate) => candidate.nic === nic.name) ?? {};
      return [
        {
          name: nic.name,
          binding: nic.plugin?.name ?? nic.binding,
          podInterface: nic.podInterface,
          network: nic.network,
          ports: nic.ports,
          guest: { mac, model, mtu, queues, pci },
          attachment,
          serve: {
            ...(dhcp4 === undefined ? {} : { dhcp4 }),
            ...(dhcp6 === undefined ? {} : { dhcp6 }),
            ...(ra === undefined ? {} : { ra }),
          },
        },
      ];
    }),
  };
}

/** A q35 where a node may have the one that is asked for: which it has, only the node knows, and other architectures' theirs. */
function typicalMachine(wanted = ""): string {
  return /^(?:pc-)?q35-/.test(wanted) || /^(?:virt|s390-ccw-virtio)/.test(wanted) ? "q35" : wanted;
}

function plannedPod(facts: PodFacts, { kernel }: Wiring): Plan["pod"] {
  const changed = new Map(kernel.links.flatMap((link) => (link.kind === "pod" ? [[link.from, link] as const] : [])));
  // With its name and its addresses a link loses its routes.
  const keeps = (name: string): boolean => (changed.get(name)?.name ?? name) === name;
  return {
    links: [
      ...facts.links.map(({ kind, ...link }): PlannedLink => {
        const { name, mac, mtu, master } = changed.get(link.name) ?? { ...link, master: undefined };
        return {
          kind,
          name,
          mac,
          mtu,
          ...(name === link.name ? {} : { from: link.name }),
          ...(master === undefined ? {} : { master }),
        };
      }),
      ...kernel.links.filter((link) => link.kind !== "pod"),
    ],
    addresses: [
      ...facts.links
        .filter(({ name }) => keeps(name))
        .flatMap((link) =>
          [...globalAddresses(link, 4), ...globalAddresses(link, 6)].map((cidr) => ({
            link: link.name,
            cidr: formatCidr(cidr),
          })),
        ),
      ...kernel.addresses,
    ],
    routes: [
      ...facts.routes.filter(({ device }) => keeps(device)),
      ...kernel.localRoutes.map(
        ({ link, destination }): RouteFacts => ({
          family: destination.includes(":") ? 6 : 4,
          destination,
          device: link,
        }),
      ),
    ],
    sysctls: kernel.sysctls,
    nft: kernel.tables.map(renderTable),
  };
}

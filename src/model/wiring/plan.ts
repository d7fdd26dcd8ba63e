import type { VmiSpec } from "../api/vmi.ts";
import { decideHardware, guestPciAddress } from "../guest/hardware.ts";
import { memoryOf, topologyOf, vcpusOf } from "../guest/topology.ts";
import type { AddressFacts, PodFacts, RouteFacts } from "./facts.ts";
import { renderTable } from "./nft.ts";
import { nicContexts, wire } from "./nics.ts";
import type { NicServices, WiredLink } from "./wiring.ts";

/** What would be built for a VMI, and nothing of it done: the shape of `patchbay plan -o json`. */
export interface Plan {
  readonly vmi: { readonly namespace: string; readonly name: string };
  readonly pod: {
    /** The pod's own links as the network made them, then those that Patchbay adds. */
    readonly links: readonly (
      | WiredLink
      | { readonly kind: string; readonly name: string; readonly mac: string; readonly mtu: number }
    )[];
    readonly addresses: readonly { readonly link: string; readonly cidr: string }[];
    readonly routes: PodFacts["routes"];
    readonly sysctls: readonly { readonly key: string; readonly value: string }[];
    /** One nftables listing a table. */
    readonly nft: readonly string[];
  };
  readonly nics: readonly PlannedNic[];
}

export interface PlannedNic {
  readonly name: string;
  readonly binding: string;
  readonly podInterface: string;
  readonly guest: {
    readonly mac: string;
    readonly model: string;
    readonly mtu: number;
    readonly queues: number;
    /** `0000:01:00.0`: domain, bus, slot and function as the guest sees them. */
    readonly pci: string;
  };
  readonly serve: Pick<NicServices, "dhcp4" | "dhcp6" | "ra">;
}

/** What a plan needs to know of a defaulted VMI. */
export interface PlanRequest {
  readonly namespace: string;
  readonly name: string;
  readonly hostName: string;
  readonly spec: VmiSpec;
}

/** Every device that some QEMU has: a plan asks no machine. */
const DEVICES = [
  "virtio-net-pci",
  "virtio-net-pci-transitional",
  "e1000",
  "e1000e",
  "igb",
  "ne2k_pci",
  "pcnet",
  "rtl8139",
];

/** Plans a VMI on a pod of these facts. Throws the Fault that would stop it. */
export function planVmi({ namespace, name, hostName, spec }: PlanRequest, facts: PodFacts): Plan {
  const nics = nicContexts(spec, hostName, vcpusOf(topologyOf(spec.domain)));
  const wiring = wire(nics, facts);
  const hardware = decideHardware({
    accel: "tcg",
    machines: ["pc-q35-7.2"],
    devices: DEVICES,
    cpu: {
      ...topologyOf(spec.domain),
      ...(spec.domain.cpu?.model === undefined ? {} : { model: spec.domain.cpu.model }),
    },
    memoryBytes: memoryOf(spec.domain),
    nics: wiring.nics,
    virtioTransitional: spec.domain.devices.useVirtioTransitional ?? false,
  });
  return {
    vmi: { namespace, name },
    pod: {
      links: [
        ...facts.links.map(({ kind, name: link, mac, mtu }) => ({ kind, name: link, mac, mtu })),
        ...wiring.kernel.links,
      ],
      addresses: [
        ...facts.links.flatMap((link) =>
          link.addresses.filter(isGlobal).map(({ cidr }) => ({ link: link.name, cidr })),
        ),
        ...wiring.kernel.addresses,
      ],
      routes: [
        ...facts.routes,
        ...wiring.kernel.localRoutes.map(
          ({ link, destination }): RouteFacts => ({
            family: destination.includes(":") ? 6 : 4,
            destination,
            device: link,
          }),
        ),
      ],
      sysctls: wiring.kernel.sysctls,
      nft: wiring.kernel.tables.map(renderTable),
    },
    nics: nics.flatMap((nic) => {
      const guest = hardware.nics.find((candidate) => candidate.name === nic.name);
      const services = wiring.services.find((candidate) => candidate.nic === nic.name);
      const pci = guestPciAddress(hardware, nic.name);
      if (guest === undefined || pci === undefined) return [];
      const { mac, model, mtu, queues } = guest;
      return [
        {
          name: nic.name,
          binding: nic.binding,
          podInterface: nic.podInterface,
          guest: { mac, model, mtu, queues, pci },
          serve: {
            ...(services?.dhcp4 === undefined ? {} : { dhcp4: services.dhcp4 }),
            ...(services?.dhcp6 === undefined ? {} : { dhcp6: services.dhcp6 }),
            ...(services?.ra === undefined ? {} : { ra: services.ra }),
          },
        },
      ];
    }),
  };
}

function isGlobal(address: AddressFacts): boolean {
  return address.scope === "global" || address.scope === "site";
}

import type { PodFacts } from "../wiring/facts.ts";
import type { Dhcp4Service, Forward, GuestNic, KernelState, NicModel, NicServices } from "../wiring/wiring.ts";

/** One interface of a manifest with the network of its name, defaults applied: all that a binding needs to know of it. */
export interface NicContext {
  readonly name: string;
  /** Position in `spec.domain.devices.interfaces`. */
  readonly index: number;
  /** The field that chooses the binding, such as `masquerade`. */
  readonly binding: string;
  readonly network: NicNetwork;
  /** Name of the pod's link, such as `eth0`. */
  readonly podInterface: string;
  readonly model: NicModel;
  /** As the manifest has it, in canonical text. */
  readonly mac?: string;
  readonly ports: readonly Forward[];
  /** Queue pairs: 1 unless multiqueue is on and the model is virtio. */
  readonly queues: number;
  readonly bootOrder?: number;
  readonly acpiIndex?: number;
  readonly pciAddress?: string;
  readonly linkUp: boolean;
  readonly dhcpOptions: DhcpOptions;
  readonly hostName: string;
  readonly subdomain?: string;
}

export type NicNetwork =
  | { readonly kind: "pod"; readonly vmNetworkCIDR: string; readonly vmIPv6NetworkCIDR: string }
  | { readonly kind: "multus"; readonly networkName: string; readonly default: boolean }
  | { readonly kind: "genie"; readonly networkName: string };

/** What `dhcpOptions` of an interface adds to the answers. */
export type DhcpOptions = Pick<Dhcp4Service, "ntpServers" | "tftpServerName" | "bootFileName" | "privateOptions">;

/** One NIC's share of a pod's wiring. */
export interface NicWiring {
  readonly kernel: KernelState;
  readonly nic: GuestNic;
  readonly services?: NicServices;
}

/** Whether a guest with this NIC can be migrated live, and why not. */
export type MigrationVerdict = { readonly migratable: true } | { readonly migratable: false; readonly reason: string };

/** Everything Patchbay knows about one way of connecting a NIC. */
export interface Binding {
  /** The field that users write. */
  readonly name: string;
  /** What to build, to serve and to plug. Throws a Fault where the facts do not allow it. */
  wire(nic: NicContext, facts: PodFacts): NicWiring;
  migration(nic: NicContext): MigrationVerdict;
}

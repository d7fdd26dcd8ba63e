import type { BindingField } from "../api/interfaces.ts";
import type { PluginConfiguration } from "../api/kubevirt.ts";
import type { BindingSays } from "../explain/claim.ts";
import type { NicNetwork } from "../networks/network.ts";
import type { Problem } from "../rules/problem.ts";
import type { Nic } from "../rules/subject.ts";
import type { PodFacts } from "../wiring/facts.ts";
import type {
  Announcement,
  Dhcp4Service,
  Forward,
  GuestNic,
  KernelState,
  NicModel,
  NicServices,
} from "../wiring/wiring.ts";

/** One interface of a manifest with the network of its name, defaults applied: all that a binding needs to know of it. */
export interface NicContext {
  readonly name: string;
  /** Position in `spec.domain.devices.interfaces`. */
  readonly index: number;
  readonly binding: BindingField;
  /** The plugin that the field `binding` names. */
  readonly plugin?: Plugin;
  readonly network: NicNetwork;
  /** Its position in `spec.networks`. */
  readonly networkIndex: number;
  /** Name of the pod's link, such as `eth0`. */
  readonly podInterface: string;
  readonly model: NicModel;
  /** As the manifest has it, else as its VM keeps it, in canonical text. */
  readonly mac?: string;
  /** True where the MAC is not the manifest's, and the VM's earlier guests had it. */
  readonly keepsMac?: true;
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
  /** Annotations of the VMI. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** A network binding plugin as the KubeVirt resource registers it; without settings where it does not. */
export interface Plugin extends PluginConfiguration {
  readonly name: string;
}

/** What `dhcpOptions` of an interface adds to the answers. */
export type DhcpOptions = Pick<Dhcp4Service, "ntpServers" | "tftpServerName" | "bootFileName" | "privateOptions">;

/** One NIC's share of a pod's wiring. */
export interface NicWiring {
  readonly kernel: KernelState;
  readonly nic: GuestNic;
  readonly services?: NicServices;
  /** What the pod's neighbours are told once the guest runs. */
  readonly announcements?: readonly Announcement[];
}

/** Whether a guest with this NIC can be migrated live, and why not. */
export type MigrationVerdict = { readonly migratable: true } | { readonly migratable: false; readonly reason: string };

/** Everything Patchbay knows about one way of connecting a NIC. */
export interface Binding {
  /** The field that users write. */
  readonly field: BindingField;
  /** Everything that is wrong with this use of it; called only for interfaces that have the field. */
  rules(nic: Nic): Problem[];
  /** What to build, to serve and to plug. Throws a Fault where the facts do not allow it. */
  wire(nic: NicContext, facts: PodFacts): NicWiring;
  migration(nic: NicContext): MigrationVerdict;
  /** Who reaches whom through it, and what it needs; `wired` is what {@link Binding.wire} made of the same. */
  explain(nic: NicContext, facts: PodFacts, wired: NicWiring): BindingSays;
}

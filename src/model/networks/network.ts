import type { FieldPath } from "../api/field-path.ts";
import type { Network, NetworkField } from "../api/networks.ts";
import type { Need } from "../explain/claim.ts";
import type { Problem } from "../rules/problem.ts";
import { networksOf, type Subject } from "../rules/subject.ts";
import { PRIMARY_INTERFACE } from "./pod-interface.ts";

/** Everything Patchbay knows about one kind of network. */
export interface NetworkKind {
  /** The field that users write. */
  readonly field: NetworkField;
  /** Everything that is wrong with the networks of this kind, given the whole; called where there is at least one. */
  rules(subject: Subject, own: readonly Placed[]): Problem[];
  /** Where a network of this kind is found in the pod; undefined for a network of another kind. */
  connect(network: Network, networks: readonly Network[]): Connected | undefined;
  /** What the cluster must have for a network of this kind; `namespace` is the VMI's. */
  needs(network: NicNetwork, namespace: string): readonly Need[];
}

/** A network as a NIC sees it. */
export type NicNetwork =
  | { readonly kind: "pod"; readonly vmNetworkCIDR: string; readonly vmIPv6NetworkCIDR: string }
  | { readonly kind: "multus"; readonly networkName: string; readonly default: boolean }
  | { readonly kind: "genie"; readonly networkName: string }
  | { readonly kind: "resourceClaim"; readonly claimName: string; readonly requestName: string };

/** A network and the pod's link that leads to it. */
export interface Connected {
  readonly network: NicNetwork;
  readonly podInterface: string;
}

/** True for the network that is the pod's own `eth0`. */
export function isPrimary(network: NicNetwork, podInterface: string): boolean {
  return network.kind === "genie"
    ? podInterface === PRIMARY_INTERFACE
    : network.kind === "pod" || (network.kind === "multus" && network.default);
}

/** A network and its place in the list. */
export interface Placed {
  readonly network: Network;
  readonly index: number;
}

/** The networks with their places. */
export function placedNetworks(subject: Subject): Placed[] {
  return networksOf(subject.spec).map((network, index) => ({ network, index }));
}

/** Where a network stands below the root. */
export function networkPath(index: number): FieldPath {
  return ["networks", index];
}

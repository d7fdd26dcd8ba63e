import type { FieldPath } from "../api/field-path.ts";
import type { Network } from "../api/networks.ts";
import type { Problem } from "../rules/problem.ts";
import { networksOf, type Subject } from "../rules/subject.ts";

/** What a manifest must satisfy to use one kind of network. */
export interface NetworkRules {
  /** The field that users write. */
  readonly field: NetworkField;
  /** Everything that is wrong with the networks of this kind, given the whole; called where there is at least one. */
  rules(subject: Subject, own: readonly Placed[]): Problem[];
}

/** Every field that says what a network is. */
export type NetworkField = "pod" | "multus" | "genie" | "resourceClaim";

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

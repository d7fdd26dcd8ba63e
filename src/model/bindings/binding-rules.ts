import type { Problem } from "../rules/problem.ts";
import type { Nic } from "../rules/subject.ts";

/** What a manifest must satisfy to use one way of connecting a NIC. */
export interface BindingRules {
  /** The field that users write. */
  readonly field: BindingField;
  /** Everything that is wrong with this use of it; called only for interfaces that have the field. */
  rules(nic: Nic): Problem[];
}

/** Every field that chooses how a NIC is connected. */
export type BindingField =
  | "bridge"
  | "masquerade"
  | "slirp"
  | "sriov"
  | "macvtap"
  | "passt"
  | "passtBinding"
  | "binding";

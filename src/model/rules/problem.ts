import type { FieldPath } from "../api/field-path.ts";
import type { rulesCodes } from "../codes/rules.ts";

/** Code of a rule. */
export type RuleCode = keyof typeof rulesCodes;

/** Kubernetes' words for what is wrong with a field; empty where KubeVirt gives none. */
export type CauseType =
  | "FieldValueRequired"
  | "FieldValueInvalid"
  | "FieldValueDuplicate"
  | "FieldValueNotSupported"
  | "FieldValueNotFound"
  | "FieldValueForbidden"
  | "";

/** A rule that an object breaks. */
export interface Problem {
  readonly type: CauseType;
  /** The field as KubeVirt names it, which is not always where it is: `spec[0].bootOrder`, `nameservers`. */
  readonly field: string;
  /** Where the fault stands in the object. */
  readonly at: FieldPath;
  /** A rule's code; absent for what the schema refuses. */
  readonly code: RuleCode | "PB1002" | "PB1003" | "PB1004" | "PB1005";
  /** A sentence that names the place. */
  readonly message: string;
  /** What would be taken, as a phrase, where it is more than what `expected.ts` says of the code. */
  readonly expected?: string;
  /** What to do, as a sentence. */
  readonly cure?: string;
  /** KubeVirt's webhooks would let this pass. */
  readonly stricter?: true;
}

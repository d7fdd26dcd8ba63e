import type { conditions } from "../api/conditions.ts";
import type { Static } from "../api/schema.ts";

/** A condition of a status, as Kubernetes and KubeVirt shape it. */
export type Condition = Static<typeof conditions>[number];

/** What a caller says of a condition; the times are {@link withCondition}'s. */
export type ConditionClaim = Pick<Condition, "type" | "status" | "reason" | "message">;

/** The list with `claim` in it: its transition time moves only where the status does. */
export function withCondition(
  conditions: readonly Condition[],
  claim: ConditionClaim,
  now: string,
): readonly Condition[] {
  const earlier = conditions.find(({ type }) => type === claim.type);
  if (earlier !== undefined && sameClaim(earlier, claim)) return conditions;
  const changed: Condition = {
    ...claim,
    lastTransitionTime:
      earlier?.status === claim.status && earlier.lastTransitionTime !== undefined ? earlier.lastTransitionTime : now,
  };
  return earlier === undefined
    ? [...conditions, changed]
    : conditions.map((condition) => (condition.type === claim.type ? changed : condition));
}

/** The list without the condition of that type. */
export function withoutCondition(conditions: readonly Condition[], type: string): readonly Condition[] {
  return conditions.some((condition) => condition.type === type)
    ? conditions.filter((condition) => condition.type !== type)
    : conditions;
}

function sameClaim(earlier: Condition, claim: ConditionClaim): boolean {
  return earlier.status === claim.status && earlier.reason === claim.reason && earlier.message === claim.message;
}

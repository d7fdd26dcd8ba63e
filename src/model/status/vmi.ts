import type { VmiPhase, VmiStatus } from "../api/vmi-status.ts";
import { type ConditionClaim, withCondition, withoutCondition } from "./conditions.ts";

/** A change to a VMI's status; pure, so that it can be tried again on a newer status. `now` is RFC 3339. */
export type VmiStatusChange = (status: VmiStatus, now: string) => VmiStatus;

/** Phases that a VMI does not leave. */
export function isFinal(phase: string | undefined): boolean {
  return phase === "Succeeded" || phase === "Failed";
}

/** True where the node has told of the guest: that it runs, or has ended. */
export function isToldOf(phase: string | undefined): boolean {
  return phase === "Running" || isFinal(phase);
}

/**
 * That change of a VMI whose guest nobody has told of. Who decides it may know an older status than the one that it is
 * written over: a guest that runs must not be called scheduled again.
 */
export function beforeGuest(change: VmiStatusChange): VmiStatusChange {
  return (status, now) => (isToldOf(status.phase) ? status : change(status, now));
}

/** Enters a phase and notes when; nothing where the VMI is in it already. */
export function enterPhase(phase: VmiPhase): VmiStatusChange {
  return (status, now) => {
    if (status.phase === phase) return status;
    const timestamps = (status.phaseTransitionTimestamps ?? []).filter((entry) => entry.phase !== phase);
    return { ...status, phase, phaseTransitionTimestamps: [...timestamps, { phase, phaseTransitionTimestamp: now }] };
  };
}

/** Says conditions. */
export function claim(...claims: readonly ConditionClaim[]): VmiStatusChange {
  return (status, now) => ({
    ...status,
    conditions: claims.reduce((conditions, one) => withCondition(conditions, one, now), status.conditions ?? []),
  });
}

/** That the VMI has its pod on a node. */
export const podScheduled = claim({ type: "PodScheduled", status: "True" });

/** Takes a condition away: it has nothing to say. */
export function unclaim(type: string): VmiStatusChange {
  return (status) => {
    const conditions = withoutCondition(status.conditions ?? [], type);
    return conditions === status.conditions || status.conditions === undefined ? status : { ...status, conditions };
  };
}

/** Sets fields. */
export function assign(fields: Partial<VmiStatus>): VmiStatusChange {
  return (status) => ({ ...status, ...fields });
}

/** One change after the other. */
export function inOrder(...changes: readonly VmiStatusChange[]): VmiStatusChange {
  return (status, now) => changes.reduce((changed, change) => change(changed, now), status);
}

/**
 * `true`, in any letter case, keeps guests to their own MACs and addresses, `false` does not: of a VMI its guest, of the
 * object that gives the settings every guest made afterwards whose VMI does not say otherwise.
 */
export const SPOOF_GUARD_ANNOTATION = "patchbay.io/spoof-guard";

/** What the annotation says; undefined for what is neither. */
export function isSpoofGuardOn(word: unknown): boolean | undefined {
  const known = typeof word === "string" ? word.toLowerCase() : undefined;
  return known === "true" ? true : known === "false" ? false : undefined;
}

/** True where the VMI of these annotations asks for the guard. */
export function isGuarded({ annotations }: { readonly annotations: Readonly<Record<string, string>> }): boolean {
  return isSpoofGuardOn(annotations[SPOOF_GUARD_ANNOTATION]) === true;
}

/** Annotations of a VMI that is to be made, where the settings guard every guest: its own word counts first. */
export function withSpoofGuardOf(
  annotations: Readonly<Record<string, string>>,
  { spoofGuard }: { readonly spoofGuard: boolean },
): Readonly<Record<string, string>> {
  if (!spoofGuard || annotations[SPOOF_GUARD_ANNOTATION] !== undefined) return annotations;
  return { ...annotations, [SPOOF_GUARD_ANNOTATION]: "true" };
}

import type { VmiSpec } from "../api/vmi.ts";

/** Of a VMI: `"true"` where its guest is to be paused, `"false"` where it is to run; `pause` and `unpause` write it. */
export const PAUSED_ANNOTATION = "patchbay.io/paused";

/** Whether the guest is to be paused: as was asked last, else as the manifest says of the start. */
export function isToBePaused(vmi: {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: Pick<VmiSpec, "startStrategy">;
}): boolean {
  const asked = vmi.metadata.annotations?.[PAUSED_ANNOTATION];
  return asked === undefined ? vmi.spec.startStrategy === "Paused" : asked === "true";
}

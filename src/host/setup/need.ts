import type { Probe } from "./probes.ts";

/** How a need is met. */
export type Cure =
  | { readonly kind: "package"; readonly name: string }
  | { readonly kind: "command"; readonly argv: readonly [string, ...string[]] }
  | { readonly kind: "advice"; readonly text: string };

/** Commands of Patchbay that need something; `tests` stands for `npm test`. */
export type NeededBy = "up" | "image build-guest" | "image build-debian" | "image pull" | "kubectl" | "tests";

/** One thing that a machine must have, or should have. */
export interface Need {
  /** Short and unique: a program's, library's or kernel feature's name. */
  readonly name: string;
  readonly why: string;
  readonly probe: Probe;
  readonly cure: Cure;
  readonly neededBy: readonly [NeededBy, ...NeededBy[]];
  /** `useful`: something works less well or less fast without it; its absence is told and fails nothing. */
  readonly level: "required" | "useful";
}

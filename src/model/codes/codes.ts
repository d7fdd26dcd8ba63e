import { apiCodes } from "./api.ts";
import { cniCodes } from "./cni.ts";
import { guestCodes } from "./guest.ts";
import { manifestCodes } from "./manifest.ts";
import { nodeCodes } from "./node.ts";
import { rulesCodes } from "./rules.ts";
import { setupCodes } from "./setup.ts";
import { wholePathCodes } from "./whole-path.ts";
import { wiringCodes } from "./wiring.ts";

/** Every code that Patchbay reports, with its title. The page of each is `docs/findings/<code>.md` (a test holds that). */
export const codes = {
  ...manifestCodes,
  ...rulesCodes,
  ...wholePathCodes,
  ...cniCodes,
  ...wiringCodes,
  ...guestCodes,
  ...apiCodes,
  ...nodeCodes,
  ...setupCodes,
} as const;

/** A code such as `PB3002`. */
export type Code = keyof typeof codes;

import { claimRules } from "./claim-rules.ts";
import { genieRules } from "./genie-rules.ts";
import { multusRules } from "./multus-rules.ts";
import type { NetworkRules } from "./network-rules.ts";
import { podRules } from "./pod-rules.ts";

/** The rules of every kind of network, whether this version can wire it or not. */
export const networkRules: readonly NetworkRules[] = [podRules, multusRules, genieRules, claimRules];

import type { BindingRules } from "./binding-rules.ts";
import { bridgeRules } from "./bridge-rules.ts";
import { macvtapRules } from "./macvtap-rules.ts";
import { masqueradeRules } from "./masquerade-rules.ts";
import { passtBindingRules, passtRules } from "./passt-rules.ts";
import { pluginRules } from "./plugin-rules.ts";
import { slirpRules } from "./slirp-rules.ts";
import { sriovRules } from "./sriov-rules.ts";

/** The rules of every binding, whether this version can wire it or not. */
export const bindingRules: readonly BindingRules[] = [
  slirpRules,
  masqueradeRules,
  bridgeRules,
  macvtapRules,
  passtRules,
  passtBindingRules,
  sriovRules,
  pluginRules,
];

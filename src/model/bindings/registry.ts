import type { BindingField } from "../api/interfaces.ts";
import type { Binding } from "./binding.ts";
import { bridge } from "./bridge.ts";
import { macvtap } from "./macvtap.ts";
import { masquerade } from "./masquerade.ts";
import { passt, passtBinding } from "./passt.ts";
import { plugin } from "./plugin.ts";
import { slirp } from "./slirp.ts";
import { sriov } from "./sriov.ts";

/** Every binding by its field, in the order in which their rules are told. */
const registry = {
  slirp,
  masquerade,
  bridge,
  macvtap,
  passt,
  passtBinding,
  sriov,
  binding: plugin,
} satisfies { readonly [Field in BindingField]: Binding };

export const bindings: readonly Binding[] = Object.values(registry);

/** The binding that a field chooses. */
export function bindingOf(field: BindingField): Binding {
  return registry[field];
}

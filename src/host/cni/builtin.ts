import type { JsonObject } from "../../model/json.ts";
import type { PluginCall } from "./exec.ts";
import type { HostSide } from "./host-side.ts";
import { macvtapPlugin } from "./macvtap-plugin.ts";
import { masqueradePlugin } from "./masquerade-plugin.ts";
import { ovsPlugin } from "./ovs-plugin.ts";
import { passtBindingPlugin } from "./passt-binding-plugin.ts";
import { findPlugin, hasPlugin } from "./plugins.ts";
import { sriovPlugin } from "./sriov-plugin.ts";

/** By `type`: plugins that nobody else has. */
export const hostSides: Readonly<Record<string, HostSide>> = {
  "patchbay-masquerade": masqueradePlugin,
};

/** A plugin that runs inside of Patchbay in place of a binary: what {@link PluginCall} asks of one, but for the binary. */
export type BuiltinPlugin = (call: Omit<PluginCall, "binary">) => Promise<JsonObject | undefined>;

const BUILTIN: Readonly<Record<string, BuiltinPlugin>> = {
  "kubevirt-passt-binding": passtBindingPlugin,
  macvtap: macvtapPlugin,
  ovs: ovsPlugin,
  sriov: sriovPlugin,
};

/** The built-in plugin of that name, where no folder has a binary of it. */
export function builtinPlugin(type: string, binDirs: readonly string[]): BuiltinPlugin | undefined {
  return Object.hasOwn(BUILTIN, type) && !hasPlugin(type, binDirs) ? BUILTIN[type] : undefined;
}

/** @throws Fault PB3006, PB3007 where neither this program nor a folder has a plugin of that name. */
export function locatePlugin(type: string, binDirs: readonly string[]): void {
  if (!Object.hasOwn(hostSides, type) && builtinPlugin(type, binDirs) === undefined) findPlugin(type, binDirs);
}

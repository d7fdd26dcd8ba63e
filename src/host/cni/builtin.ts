import type { JsonObject } from "../../model/json.ts";
import type { PluginCall } from "./exec.ts";
import { masqueradePlugin } from "./masquerade-plugin.ts";
import { ovsPlugin } from "./ovs-plugin.ts";
import { findPlugin, hasPlugin } from "./plugins.ts";

/**
 * A chained plugin that runs inside of Patchbay: what it makes belongs to the network, not to one pod, so its ADD hands
 * the previous result on and its DEL and CHECK do nothing.
 */
export interface HostSide {
  /** Makes the host's side before the first plugin of an ADD runs; cheap where it is there. */
  prepare(network: string, config: JsonObject, hostNetns: string | undefined): Promise<void>;
  /** Takes the host's side away once no attachment to the network is left. */
  unused(network: string, config: JsonObject, hostNetns: string | undefined): Promise<void>;
}

/** By `type`: plugins that nobody else has. */
export const hostSides: Readonly<Record<string, HostSide>> = {
  "patchbay-masquerade": masqueradePlugin,
};

/** A plugin that runs inside of Patchbay in place of a binary: what {@link PluginCall} asks of one, but for the binary. */
export type BuiltinPlugin = (call: Omit<PluginCall, "binary">) => Promise<JsonObject | undefined>;

const BUILTIN: Readonly<Record<string, BuiltinPlugin>> = { ovs: ovsPlugin };

/** The built-in plugin of that name, where no folder has a binary of it. */
export function builtinPlugin(type: string, binDirs: readonly string[]): BuiltinPlugin | undefined {
  return Object.hasOwn(BUILTIN, type) && !hasPlugin(type, binDirs) ? BUILTIN[type] : undefined;
}

/** @throws Fault PB3006, PB3007 where neither this program nor a folder has a plugin of that name. */
export function locatePlugin(type: string, binDirs: readonly string[]): void {
  if (!Object.hasOwn(hostSides, type) && builtinPlugin(type, binDirs) === undefined) findPlugin(type, binDirs);
}

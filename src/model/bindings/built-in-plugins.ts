import type { PluginConfiguration } from "../api/kubevirt.ts";
import type { VmiSpec } from "../api/vmi.ts";
import type { Binding, Plugin } from "./binding.ts";
import { passtBinding } from "./passt.ts";
import { slirp } from "./slirp.ts";

/** Bindings that Patchbay does itself, by the names of the sidecar images that do them on KubeVirt. */
const BUILT_IN: ReadonlyMap<string, Binding> = new Map([
  ["network-slirp-binding", slirp],
  ["network-passt-binding", passtBinding],
]);

/** What does a plugin's work here, where its sidecar's image is one of KubeVirt's own, whatever its registry and tag. */
export function builtInBinding(plugin: Plugin | undefined): Binding | undefined {
  const [last = ""] = (plugin?.sidecarImage ?? "").split("/").slice(-1);
  return BUILT_IN.get(last.replace(/[:@].*$/, ""));
}

/** The plugin that KubeVirt 1.1 gives the field `slirp` to, and what it takes where that is not registered. */
const SLIRP_PLUGIN = "slirp";
const SLIRP_IMAGE = "quay.io/kubevirt/network-slirp-binding:20230830_638c60fc8";

/** The warning of KubeVirt 1.1 about a VMI with slirp where no plugin of that name is registered (document 003). */
export function unregisteredSlirp(
  spec: VmiSpec,
  plugins: ReadonlyMap<string, PluginConfiguration>,
): string | undefined {
  const interfaces = spec.domain.devices.interfaces ?? [];
  if (plugins.has(SLIRP_PLUGIN) || !interfaces.some((nic) => nic.slirp !== undefined)) return undefined;
  return `No network binding plugin "${SLIRP_PLUGIN}" is registered. KubeVirt 1.1 takes the image ${SLIRP_IMAGE} then, and 1.2 refuses; here slirp is built in and nothing is missing. For a cluster, register one in spec.configuration.network.binding of the KubeVirt resource.`;
}

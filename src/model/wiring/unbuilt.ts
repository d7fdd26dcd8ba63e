import type { NicContext, Plugin } from "../bindings/binding.ts";
import { builtInBinding } from "../bindings/built-in-plugins.ts";
import { Fault } from "../fault.ts";
import type { NicNetwork } from "../networks/network.ts";

/** What this version plans and explains, and cannot build yet. */
export const UNBUILT_NETWORKS: ReadonlySet<NicNetwork["kind"]> = new Set<NicNetwork["kind"]>(["resourceClaim"]);

/** PB4021 for each NIC on a network that this version cannot build yet, PB4026 for each with a plugin that takes Kubernetes. */
export function unbuiltOf(nics: readonly NicContext[]): readonly Fault[] {
  return nics.flatMap(({ name, index, plugin, network }): Fault[] => {
    const place = `spec.domain.devices.interfaces[${index}]`;
    if (UNBUILT_NETWORKS.has(network.kind)) {
      const message = `${place}: this version of Patchbay cannot connect the ${network.kind} network "${name}".`;
      return [new Fault("PB4021", message, { place, cure: "Use a pod, multus or genie network." })];
    }
    return plugin === undefined ? [] : onlyOnKubernetes(plugin, place);
  });
}

/** What a plugin's sidecar does happens in a pod of Kubernetes, unless Patchbay does it by itself. */
function onlyOnKubernetes(plugin: Plugin, place: string): Fault[] {
  const { name, sidecarImage = "", domainAttachmentType = "" } = plugin;
  if (builtInBinding(plugin) !== undefined || (sidecarImage === "" && ATTACHED.includes(domainAttachmentType)))
    return [];
  const isRegistered = Object.keys(plugin).length > 1;
  const why = !isRegistered
    ? "is not registered"
    : sidecarImage === ""
      ? "is registered with neither a domainAttachmentType nor a sidecar: nothing plugs the NIC"
      : `has the sidecar image ${sidecarImage}, which runs in a pod of Kubernetes alone`;
  const cure =
    sidecarImage === ""
      ? `Register it with domainAttachmentType: tap or managedTap in spec.configuration.network.binding of the KubeVirt resource.`
      : "Run the VM on Kubernetes, or use a plugin that needs no sidecar or KubeVirt's own network-slirp-binding or network-passt-binding, which are built in.";
  return [
    new Fault("PB4026", `${place}: the binding plugin "${name}" ${why}.`, { place, cure, data: { plugin: name } }),
  ];
}

const ATTACHED: readonly string[] = ["tap", "managedTap"];

import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { flag, list, map, object, openObject, quantity, type Static, text } from "./schema.ts";

const amounts = (description: string) => map(description, quantity("Amount."));

const plugin = object(
  "A network binding plugin.",
  {},
  {
    sidecarImage: text("Image of a container to run beside the guest. Default none."),
    networkAttachmentDefinition: text(
      "`name` or `namespace/name` of a NetworkAttachmentDefinition to attach for each such interface. Default none.",
    ),
    domainAttachmentType: text("`tap` or `managedTap`. Default: the plugin plugs the NIC itself."),
    downwardAPI: text("`device-info`: tells the plugin about the network's device. Default none."),
    migration: object(
      "What live migration does with such interfaces; absent: on the pod network they forbid it.",
      {},
      { method: text("`link-refresh`. Default nothing.") },
    ),
    computeResourceOverhead: object(
      "What such interfaces cost beside the guest.",
      {},
      { requests: amounts("Of these only `memory` counts."), limits: amounts("Not used.") },
    ),
  },
);

/** `spec.configuration.network` of the KubeVirt resource. */
const networkConfiguration = object(
  "Settings of VM networks.",
  {},
  {
    defaultNetworkInterface: text(
      "Binding of the NIC that is added where a VMI lists none: `bridge`, `masquerade` or `slirp`. Default bridge. Any other word voids the whole configuration.",
    ),
    permitSlirpInterface: flag("True allows slirp. Default false."),
    permitBridgeInterfaceOnPodNetwork: flag("False forbids bridge on the pod network. Default true."),
    binding: map("Network binding plugins by name.", plugin),
  },
);

/** `spec.configuration` of the KubeVirt resource. */
export const configuration = openObject("Settings of the cluster.", {
  network: networkConfiguration,
  developerConfiguration: openObject("Feature gates and settings for developers.", {
    featureGates: list("Gates that are open; case sensitive.", text("Name of a gate, such as `Macvtap`.")),
    disabledFeatureGates: list("Gates that are shut though open by default.", text("Name of a gate.")),
    useEmulation: flag("True runs guests without KVM where there is none."),
  }),
});

export const kubeVirt = object(
  "Settings of the installation.",
  { apiVersion: text("`kubevirt.io/v1`."), kind: text("`KubeVirt`.") },
  {
    metadata,
    spec: openObject("What is asked for.", { configuration }),
    status: openObject("The installation as it is.", { phase: text("`Deployed` and the like."), conditions }),
  },
);

/** What the rules and defaults depend on beside the manifest. */
export type Configuration = Static<typeof configuration>;
export type PluginConfiguration = Static<typeof plugin>;
export type KubeVirt = Static<typeof kubeVirt>;

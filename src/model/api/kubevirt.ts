import { conditions } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { flag, list, map, object, openObject, quantity, type Static, text } from "./schema.ts";

const amounts = (description: string) =>
  map(description, quantity("Amount in bytes or cores, such as `200Mi`; what is no quantity is refused."));

const plugin = object(
  "A network binding plugin.",
  {},
  {
    sidecarImage: text(
      "Image of a container to run beside the guest; any text is taken, with a warning where it is no image. Default none.",
    ),
    networkAttachmentDefinition: text(
      "`name` or `namespace/name` of a NetworkAttachmentDefinition to attach for each such interface; any text is taken, with a warning where no definition is called so. Default none.",
    ),
    domainAttachmentType: text(
      "`tap` or `managedTap`; any other word is taken for none, with a warning. Default: the plugin plugs the NIC itself.",
    ),
    downwardAPI: text(
      "`device-info`: tells the plugin about the network's device; any other word is taken for none, with a warning. Default none.",
    ),
    migration: object(
      "What live migration does with such interfaces; absent: on the pod network they forbid it.",
      {},
      {
        method: text(
          "`link-refresh`: the guest's link goes down and up again; any other word is taken for none, with a warning. Default: nothing is done.",
        ),
      },
    ),
    computeResourceOverhead: object(
      "What such interfaces cost beside the guest.",
      {},
      {
        requests: amounts("Of these only `memory` counts, in bytes; others are taken with a warning. Default none."),
        limits: amounts("Not used; taken with a warning. Default none."),
      },
    ),
  },
);

/** `spec.configuration.network` of the KubeVirt resource. */
const networkConfiguration = object(
  "Settings of VM networks.",
  {},
  {
    defaultNetworkInterface: text(
      "Binding of the NIC that is added where a VMI lists none: `bridge`, `masquerade` or `slirp`. Default bridge. Any other word voids the whole configuration, and is refused.",
    ),
    permitSlirpInterface: flag("True allows slirp. Default false; what is no boolean is refused."),
    permitBridgeInterfaceOnPodNetwork: flag(
      "False forbids bridge on the pod network. Default true; what is no boolean is refused.",
    ),
    binding: map("Network binding plugins by name; any name is taken. Default none.", plugin),
  },
);

/** `spec.configuration` of the KubeVirt resource. */
export const configuration = openObject("Settings of the cluster.", {
  network: networkConfiguration,
  developerConfiguration: openObject("Feature gates and settings for developers.", {
    featureGates: list(
      "Gates that are open. Default none.",
      text("Name of a gate, such as `Macvtap`; compared letter by letter, any text is taken."),
    ),
    disabledFeatureGates: list("Gates that are shut though open by default. Default none.", text("Name of a gate.")),
    useEmulation: flag("True runs guests without KVM where there is none. Default false."),
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

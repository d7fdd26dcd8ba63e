import { networkAttachmentDefinition } from "./attachment.ts";
import { age, column, condition, ready, wide } from "./columns.ts";
import { coreDefinitions } from "./core-kinds.ts";
import { customResourceDefinition } from "./crd-types.ts";
import { kubeVirt } from "./kubevirt.ts";
import { virtualMachineInstanceMigration } from "./migration.ts";
import type { ResourceDefinition } from "./resource.ts";
import { SRIOV_GROUP, sriovNetwork, sriovNetworkNodePolicy } from "./sriov-resources.ts";
import { virtualMachine } from "./vm.ts";
import { virtualMachineInstance } from "./vmi.ts";

/** Group of KubeVirt's resources. */
export const KUBEVIRT_GROUP = "kubevirt.io";

/** Every kind of resource that Patchbay knows. */
export const definitions: readonly ResourceDefinition[] = [
  {
    group: KUBEVIRT_GROUP,
    version: "v1",
    kind: "VirtualMachineInstance",
    plural: "virtualmachineinstances",
    singular: "virtualmachineinstance",
    shortNames: ["vmi", "vmis"],
    categories: ["all"],
    namespaced: true,
    statusSubresource: true,
    schema: virtualMachineInstance,
    columns: [
      age,
      column("Phase", ".status.phase", "Where the VMI is in its life."),
      column("IP", ".status.interfaces[0].ipAddress", "Address of the first NIC."),
      column("NodeName", ".status.nodeName", "Node that runs the guest."),
      ready,
      column("Live-Migratable", condition("LiveMigratable"), "Whether the guest can be moved while it runs.", wide),
      column("Paused", condition("Paused"), "Whether the guest is paused.", wide),
    ],
  },
  {
    group: KUBEVIRT_GROUP,
    version: "v1",
    kind: "VirtualMachine",
    plural: "virtualmachines",
    singular: "virtualmachine",
    shortNames: ["vm", "vms"],
    categories: ["all"],
    namespaced: true,
    statusSubresource: true,
    schema: virtualMachine,
    columns: [age, column("Status", ".status.printableStatus", "One word for people."), ready],
  },
  {
    group: KUBEVIRT_GROUP,
    version: "v1",
    kind: "VirtualMachineInstanceMigration",
    plural: "virtualmachineinstancemigrations",
    singular: "virtualmachineinstancemigration",
    shortNames: ["vmim", "vmims"],
    categories: ["all"],
    namespaced: true,
    statusSubresource: true,
    schema: virtualMachineInstanceMigration,
    columns: [
      column("Phase", ".status.phase", "Where the migration is on its way."),
      column("VMI", ".spec.vmiName", "What is moved."),
      age,
    ],
  },
  {
    group: KUBEVIRT_GROUP,
    version: "v1",
    kind: "KubeVirt",
    plural: "kubevirts",
    singular: "kubevirt",
    shortNames: ["kv", "kvs"],
    categories: ["all"],
    namespaced: true,
    statusSubresource: true,
    schema: kubeVirt,
    columns: [age, column("Phase", ".status.phase", "How far the installation is.")],
  },
  {
    group: "k8s.cni.cncf.io",
    version: "v1",
    kind: "NetworkAttachmentDefinition",
    plural: "network-attachment-definitions",
    singular: "network-attachment-definition",
    shortNames: ["net-attach-def"],
    categories: [],
    namespaced: true,
    statusSubresource: false,
    schema: networkAttachmentDefinition,
    columns: [age],
  },
  {
    group: SRIOV_GROUP,
    version: "v1",
    kind: "SriovNetworkNodePolicy",
    plural: "sriovnetworknodepolicies",
    singular: "sriovnetworknodepolicy",
    shortNames: [],
    categories: [],
    namespaced: true,
    statusSubresource: true,
    schema: sriovNetworkNodePolicy,
    columns: [
      column("Resource", ".spec.resourceName", "Resource that the virtual functions are."),
      column("VFs", ".spec.numVfs", "Virtual functions of each card.", { type: "integer" }),
      ready,
      age,
    ],
  },
  {
    group: SRIOV_GROUP,
    version: "v1",
    kind: "SriovNetwork",
    plural: "sriovnetworks",
    singular: "sriovnetwork",
    shortNames: [],
    categories: [],
    namespaced: true,
    statusSubresource: true,
    schema: sriovNetwork,
    columns: [
      column("Resource", ".spec.resourceName", "Resource of its virtual functions."),
      column("Namespace", ".spec.networkNamespace", "Where its definition is."),
      ready,
      age,
    ],
  },
  {
    group: "apiextensions.k8s.io",
    version: "v1",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    singular: "customresourcedefinition",
    shortNames: ["crd", "crds"],
    categories: ["api-extensions"],
    namespaced: false,
    statusSubresource: true,
    schema: customResourceDefinition,
    columns: [column("Created At", ".metadata.creationTimestamp", "When it was made.")],
  },
  ...coreDefinitions,
];

const OLDER_VERSION = "v1alpha3";

/**
 * What an API server serves: every kind, and KubeVirt's in the version of older manifests too, as KubeVirt does. It
 * differs in nothing but its name; a kind's first entry is the one that objects are stored in.
 */
export const servedDefinitions: readonly ResourceDefinition[] = [
  ...definitions,
  ...definitions
    .filter(({ group }) => group === KUBEVIRT_GROUP)
    .map((definition) => ({
      ...definition,
      version: OLDER_VERSION,
      deprecation: `${KUBEVIRT_GROUP}/${OLDER_VERSION} is deprecated: use ${KUBEVIRT_GROUP}/${definition.version}`,
    })),
];

/** The definition of a kind; undefined when Patchbay does not know it. */
export function definitionOf(apiVersion: string, kind: string): ResourceDefinition | undefined {
  return definitions.find(
    (definition) =>
      definition.kind === kind &&
      apiVersion === (definition.group === "" ? definition.version : `${definition.group}/${definition.version}`),
  );
}

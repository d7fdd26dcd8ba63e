import { networkAttachmentDefinition } from "./attachment.ts";
import { configMap, event, namespace, node, secret } from "./core.ts";
import { customResourceDefinition } from "./crd-types.ts";
import { kubeVirt } from "./kubevirt.ts";
import { pod } from "./pod.ts";
import type { PrinterColumn, ResourceDefinition } from "./resource.ts";
import { virtualMachine } from "./vm.ts";
import { virtualMachineInstance } from "./vmi.ts";

const column = (
  name: string,
  jsonPath: string,
  description: string,
  options: { readonly type?: PrinterColumn["type"]; readonly priority?: number } = {},
): PrinterColumn => ({ name, type: options.type ?? "string", jsonPath, description, priority: options.priority ?? 0 });

const condition = (type: string): string => `.status.conditions[?(@.type=='${type}')].status`;

const age = column("Age", ".metadata.creationTimestamp", "Time since the object was made.", { type: "date" });
const ready = column("Ready", condition("Ready"), "Whether it can be used.");

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
      column("Live-Migratable", condition("LiveMigratable"), "Whether the guest can be moved while it runs.", {
        priority: 1,
      }),
      column("Paused", condition("Paused"), "Whether the guest is paused.", { priority: 1 }),
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
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    shortNames: ["po"],
    categories: ["all"],
    namespaced: true,
    statusSubresource: true,
    schema: pod,
    columns: [
      ready,
      column("Status", ".status.phase", "Where the pod is in its life."),
      column("Restarts", ".status.containerStatuses[0].restartCount", "Restarts of its container.", {
        type: "integer",
      }),
      age,
      column("IP", ".status.podIP", "First address of the pod.", { priority: 1 }),
      column("Node", ".spec.nodeName", "Node that runs the pod.", { priority: 1 }),
    ],
  },
  {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    shortNames: ["ns"],
    categories: [],
    namespaced: false,
    statusSubresource: true,
    schema: namespace,
    columns: [column("Status", ".status.phase", "Active or Terminating."), age],
  },
  {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    shortNames: ["no"],
    categories: [],
    namespaced: false,
    statusSubresource: true,
    schema: node,
    columns: [
      ready,
      age,
      column("Version", ".status.nodeInfo.kubeletVersion", "Version of the agent."),
      column("Internal-IP", ".status.addresses[?(@.type=='InternalIP')].address", "Address of the node.", {
        priority: 1,
      }),
      column("OS-Image", ".status.nodeInfo.osImage", "System of the node.", { priority: 1 }),
      column("Kernel-Version", ".status.nodeInfo.kernelVersion", "Kernel of the node.", { priority: 1 }),
    ],
  },
  {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    shortNames: ["ev"],
    categories: [],
    namespaced: true,
    statusSubresource: false,
    schema: event,
    columns: [
      column("Last Seen", ".lastTimestamp", "When it happened last.", { type: "date" }),
      column("Type", ".type", "Normal or Warning."),
      column("Reason", ".reason", "One word that says why."),
      column("Object", ".involvedObject.name", "What it happened to."),
      column("Message", ".message", "A sentence."),
      column("Count", ".count", "How often it happened.", { type: "integer", priority: 1 }),
    ],
  },
  {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    shortNames: ["cm"],
    categories: [],
    namespaced: true,
    statusSubresource: false,
    schema: configMap,
    columns: [age],
  },
  {
    group: "",
    version: "v1",
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    shortNames: [],
    categories: [],
    namespaced: true,
    statusSubresource: false,
    schema: secret,
    columns: [column("Type", ".type", "What the secret is for."), age],
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
];

/** The definition of a kind; undefined when Patchbay does not know it. */
export function definitionOf(apiVersion: string, kind: string): ResourceDefinition | undefined {
  return definitions.find(
    (definition) =>
      definition.kind === kind &&
      apiVersion === (definition.group === "" ? definition.version : `${definition.group}/${definition.version}`),
  );
}

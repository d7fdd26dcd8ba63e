import { persistentVolumeClaim } from "./claim.ts";
import { age, column, wide } from "./columns.ts";
import { configMap, event, namespace, node, secret } from "./core.ts";
import * as cells from "./core-cells.ts";
import { lease } from "./lease.ts";
import { pod } from "./pod.ts";
import { podGrace } from "./pod-grace.ts";
import type { ResourceDefinition } from "./resource.ts";
import { decodeSecret } from "./secret.ts";
import { endpointSlice, service } from "./service.ts";

const core = {
  group: "",
  version: "v1",
  categories: [],
  namespaced: true,
  statusSubresource: false,
  unconditionalUpdate: true,
} as const;
/** Of these, Kubernetes counts the changes of EndpointSlices only. */
const uncounted = { ...core, countsChanges: false } as const;

/** Kinds of Kubernetes itself, with the columns that users of kubectl know. */
export const coreDefinitions: readonly ResourceDefinition[] = [
  {
    ...uncounted,
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    shortNames: ["po"],
    categories: ["all"],
    statusSubresource: true,
    schema: pod,
    grace: podGrace,
    columns: [
      column("Ready", "", "Containers that are ready, of all.", { cell: cells.podReady }),
      column("Status", ".status.phase", "Where the pod is in its life.", { cell: cells.podStatus }),
      column("Restarts", "", "Restarts of its containers.", { type: "integer", cell: cells.podRestarts }),
      age,
      column("IP", ".status.podIP", "First address of the pod.", {
        ...wide,
        cell: cells.textOrNone("status", "podIP"),
      }),
      column("Node", ".spec.nodeName", "Node that runs the pod.", {
        ...wide,
        cell: cells.textOrNone("spec", "nodeName"),
      }),
      column("Nominated Node", "", "Node that is to run the pod.", { ...wide, cell: cells.none }),
      column("Readiness Gates", "", "Further conditions of its readiness.", { ...wide, cell: cells.none }),
    ],
  },
  {
    ...uncounted,
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    shortNames: ["ns"],
    namespaced: false,
    statusSubresource: true,
    schema: namespace,
    columns: [column("Status", ".status.phase", "Active or Terminating."), age],
  },
  {
    ...uncounted,
    kind: "Node",
    plural: "nodes",
    singular: "node",
    shortNames: ["no"],
    namespaced: false,
    statusSubresource: true,
    schema: node,
    columns: [
      column("Status", "", "Whether it runs guests.", { cell: cells.nodeStatus }),
      column("Roles", "", "What it is for, by its labels.", { cell: cells.nodeRoles }),
      age,
      column("Version", ".status.nodeInfo.kubeletVersion", "Version of the agent."),
      column("Internal-IP", "", "Address of the node.", { ...wide, cell: cells.nodeAddress("InternalIP") }),
      column("External-IP", "", "Address from outside.", { ...wide, cell: cells.nodeAddress("ExternalIP") }),
      column("OS-Image", ".status.nodeInfo.osImage", "System of the node.", wide),
      column("Kernel-Version", ".status.nodeInfo.kernelVersion", "Kernel of the node.", wide),
      column("Container-Runtime", ".status.nodeInfo.containerRuntimeVersion", "What runs the guests.", wide),
    ],
  },
  {
    ...uncounted,
    kind: "Event",
    plural: "events",
    singular: "event",
    createdByUpdate: true,
    shortNames: ["ev"],
    schema: event,
    columns: [
      column("Last Seen", ".lastTimestamp", "When it happened last.", { type: "date" }),
      column("Type", ".type", "Normal or Warning."),
      column("Reason", ".reason", "One word that says why."),
      column("Object", "", "What it happened to.", { cell: cells.eventObject }),
      column("Subobject", ".involvedObject.fieldPath", "Which part of it.", wide),
      column("Source", "", "Who tells it.", { ...wide, cell: cells.eventSource }),
      column("Message", ".message", "A sentence."),
      column("First Seen", ".firstTimestamp", "When it happened first.", { ...wide, type: "date" }),
      column("Count", ".count", "How often it happened.", { ...wide, type: "integer" }),
      column("Name", ".metadata.name", "Name of the event.", wide),
    ],
  },
  {
    ...uncounted,
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    shortNames: ["cm"],
    schema: configMap,
    columns: [column("Data", "", "Keys that it holds.", { type: "integer", cell: cells.dataCount }), age],
  },
  {
    ...uncounted,
    kind: "Secret",
    plural: "secrets",
    singular: "secret",
    shortNames: [],
    schema: secret,
    decode: decodeSecret,
    columns: [
      column("Type", ".type", "What the secret is for."),
      column("Data", "", "Keys that it holds.", { type: "integer", cell: cells.dataCount }),
      age,
    ],
  },
  {
    ...uncounted,
    kind: "PersistentVolumeClaim",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    shortNames: ["pvc"],
    statusSubresource: true,
    schema: persistentVolumeClaim,
    columns: [
      column("Status", ".status.phase", "Whether there is storage for it.", { cell: cells.claimStatus }),
      column("Volume", ".spec.volumeName", "The volume that it is bound to."),
      column("Capacity", ".status.capacity.storage", "How much there is."),
      column("Access Modes", "", "How it may be used.", { cell: cells.claimAccessModes }),
      column("StorageClass", ".spec.storageClassName", "Who provides it."),
      age,
      column("VolumeMode", ".spec.volumeMode", "What lies on it.", wide),
    ],
  },
  {
    ...uncounted,
    kind: "Service",
    plural: "services",
    singular: "service",
    createdByUpdate: true,
    shortNames: ["svc"],
    categories: ["all"],
    statusSubresource: true,
    schema: service,
    columns: [
      column("Type", ".spec.type", "How it can be reached."),
      column("Cluster-IP", ".spec.clusterIP", "Its address.", { cell: cells.textOrNone("spec", "clusterIP") }),
      column("External-IP", "", "Addresses from outside.", { cell: cells.serviceExternal }),
      column("Port(s)", "", "Its ports.", { cell: cells.servicePorts }),
      age,
      column("Selector", "", "Labels of the pods behind it.", { ...wide, cell: cells.serviceSelector }),
    ],
  },
  {
    ...core,
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    shortNames: [],
    schema: endpointSlice,
    columns: [
      column("AddressType", ".addressType", "What its addresses are."),
      column("Ports", "", "Ports of each place.", { cell: cells.slicePorts }),
      column("Endpoints", "", "Addresses of the places.", { cell: cells.sliceEndpoints }),
      age,
    ],
  },
  {
    ...uncounted,
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    createdByUpdate: true,
    shortNames: [],
    unconditionalUpdate: false,
    schema: lease,
    columns: [column("Holder", ".spec.holderIdentity", "Who holds it."), age],
  },
];

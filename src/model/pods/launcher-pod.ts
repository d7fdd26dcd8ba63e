import { sha256 } from "@noble/hashes/sha2.js";
import type { PluginConfiguration } from "../api/kubevirt.ts";
import type { Pod } from "../api/pod.ts";
import type { Stored } from "../api/stored.ts";
import type { VirtualMachineInstance } from "../api/vmi.ts";
import type { NicContext } from "../bindings/binding.ts";
import { isJsonObject } from "../json.ts";
import { readJson } from "../networks/cni-json.ts";
import { attachmentAnnotations } from "../networks/network-selection.ts";
import { tapName } from "../networks/pod-interface.ts";
import { nicContexts } from "../wiring/nics.ts";
import { bindingResources } from "./pod-resources.ts";

/** Held until the node has given everything of the pod back. */
export const NODE_FINALIZER = "patchbay.io/node";
/** Of a pod: what the node read of its namespace before it changed anything, as JSON. */
export const FACTS_ANNOTATION = "patchbay.io/pod-facts";
/** Of a pod: the binding plugins of its NICs as they were registered when it was made, by name, as JSON. */
const PLUGINS_ANNOTATION = "patchbay.io/binding-plugins";
/** Names the VMI's UID on its pods, as KubeVirt does. */
export const CREATED_BY_LABEL = "kubevirt.io/created-by";
export const LAUNCHER_LABEL = "kubevirt.io";
export const LAUNCHER_LABEL_VALUE = "virt-launcher";
/** The container in which KubeVirt runs QEMU. */
export const COMPUTE_CONTAINER = "compute";
/** The container that prints the guest's serial console, beside the other one as long as that runs. */
export const CONSOLE_LOG_CONTAINER = "guest-console-log";
/** The image field of a Pod cannot be empty; standalone nothing is pulled for it. */
const LAUNCHER_IMAGE = "patchbay/launcher";
const DEFAULT_GRACE_SECONDS = 30;
/** Annotations of the VMI that are its own business (reference 4.6). */
const NOT_COPIED =
  /^kubectl\.kubernetes\.io\/|^kubevirt\.io\/(latest-observed|storage-observed)-api-version$|^patchbay\.io\/binding-plugins$/;
/** Both names, of older and newer releases of Istio. */
const MESH_ANNOTATIONS = ["traffic.sidecar.istio.io/kubevirtInterfaces", "istio.io/reroute-virtual-interfaces"];
/** A DNS label's length. */
const HOST_NAME_LENGTH = 63;
/** Of a label's value. */
const LABEL_LENGTH = 63;
/** Of an object's name. */
const NAME_LENGTH = 253;
const PREFIX = "virt-launcher-";
const DIGEST_LENGTH = 8;

/** Names a VM, or a VMI, on its VMI and pods. */
export const VM_NAME_LABEL = "vm.kubevirt.io/name";

/** What {@link VM_NAME_LABEL} says of that name: the name, unless it is too long for a label. */
export function vmNameLabel(name: string): string {
  return shortened(name, LABEL_LENGTH);
}

/** The name where it fits; else its beginning, and a digest that tells it from others of that beginning. */
function shortened(name: string, length: number): string {
  if (name.length <= length) return name;
  const digest = Array.from(sha256(new TextEncoder().encode(name)), (byte) => byte.toString(16).padStart(2, "0"));
  const start = name.slice(0, length - DIGEST_LENGTH - 1).replace(/[-.]+$/, "");
  return `${start}-${digest.join("").slice(0, DIGEST_LENGTH)}`;
}

/** The guest's and the pod's host name (reference 4.10). */
export function hostNameOf(vmi: Stored<VirtualMachineInstance>): string {
  return vmi.spec.hostname || (vmi.metadata.name.split(".")[0] ?? vmi.metadata.name).slice(0, HOST_NAME_LENGTH);
}

/** Tells a service mesh which device's packets are a guest's (reference 4.6): here the tap, for want of a bridge. */
function meshAnnotations(nics: readonly NicContext[]): Readonly<Record<string, string>> {
  const masqueraded = nics.find(({ binding }) => binding === "masquerade");
  if (masqueraded === undefined) return {};
  const device = tapName(masqueraded.podInterface);
  return Object.fromEntries(MESH_ANNOTATIONS.map((key) => [key, device]));
}

/** Network binding plugins by name, as the KubeVirt resource registers them. */
export type Plugins = ReadonlyMap<string, PluginConfiguration>;

/** The NICs of a VMI; with the MACs that its VM keeps for them. */
export function nicsOf(vmi: Stored<VirtualMachineInstance>, plugins: Plugins = new Map()): readonly NicContext[] {
  const { annotations = {} } = vmi.metadata;
  return nicContexts({ spec: vmi.spec, hostName: hostNameOf(vmi), annotations, plugins });
}

/** The plugins of a pod's NICs, as they were registered when it was made: what comes later is for the next pod. */
export function pluginsOf({ metadata }: Pick<Pod, "metadata">): Plugins {
  const reading = readJson(metadata?.annotations?.[PLUGINS_ANNOTATION] ?? "{}");
  const given = "value" in reading && isJsonObject(reading.value) ? reading.value : {};
  return new Map(
    Object.entries(given).flatMap(([name, plugin]) =>
      isJsonObject(plugin) ? [[name, plugin as PluginConfiguration]] : [],
    ),
  );
}

function pluginsAnnotation(nics: readonly NicContext[]): Readonly<Record<string, string>> {
  const used = nics.flatMap(({ plugin }) => (plugin === undefined ? [] : [plugin]));
  if (used.length === 0) return {};
  const byName = Object.fromEntries(used.map(({ name, ...registration }) => [name, registration]));
  return { [PLUGINS_ANNOTATION]: JSON.stringify(byName) };
}

/** By these `kubectl describe pvc` knows who uses a claim. */
function claimVolumes({ spec }: Stored<VirtualMachineInstance>): readonly { readonly name: string }[] {
  return (spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    const claim = persistentVolumeClaim ?? ephemeral?.persistentVolumeClaim;
    if (claim === undefined) return [];
    const readOnly = ephemeral !== undefined || claim.readOnly === true;
    return [{ name, persistentVolumeClaim: { claimName: claim.claimName, readOnly } }];
  });
}

/** The pod that runs a VMI on that node; `suffix` tells it from the other pods of the VMI. */
export function launcherPod(
  vmi: Stored<VirtualMachineInstance>,
  nodeName: string | undefined,
  suffix: string,
  plugins: Plugins = new Map(),
): Pod {
  const { name, namespace, uid, labels = {}, annotations = {} } = vmi.metadata;
  const { interfaces = [] } = vmi.spec.domain.devices;
  const nics = nicsOf(vmi, plugins);
  const resources = bindingResources(vmi.spec.domain, nics);
  const ports = interfaces.flatMap((iface) => iface.ports ?? []);
  const volumes = claimVolumes(vmi);
  const { autoattachSerialConsole = true, logSerialConsole = true } = vmi.spec.domain.devices;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${PREFIX}${shortened(name, NAME_LENGTH - PREFIX.length - suffix.length - 1)}-${suffix}`,
      namespace,
      labels: {
        ...labels,
        [LAUNCHER_LABEL]: LAUNCHER_LABEL_VALUE,
        [CREATED_BY_LABEL]: uid,
        [VM_NAME_LABEL]: vmNameLabel(name),
      },
      annotations: {
        ...Object.fromEntries(Object.entries(annotations).filter(([key]) => !NOT_COPIED.test(key))),
        ...attachmentAnnotations(nics, interfaces, namespace),
        ...meshAnnotations(nics),
        ...pluginsAnnotation(nics),
        "kubevirt.io/domain": name,
        "kubectl.kubernetes.io/default-container": COMPUTE_CONTAINER,
      },
      finalizers: [NODE_FINALIZER],
      ownerReferences: [
        { apiVersion: vmi.apiVersion, kind: vmi.kind, name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec: {
      ...(nodeName === undefined ? {} : { nodeName }),
      hostname: hostNameOf(vmi),
      ...(vmi.spec.subdomain === undefined ? {} : { subdomain: vmi.spec.subdomain }),
      ...(vmi.spec.dnsPolicy === undefined ? {} : { dnsPolicy: vmi.spec.dnsPolicy }),
      ...(vmi.spec.dnsConfig === undefined ? {} : { dnsConfig: vmi.spec.dnsConfig }),
      ...(vmi.spec.nodeSelector === undefined ? {} : { nodeSelector: vmi.spec.nodeSelector }),
      restartPolicy: "Never",
      terminationGracePeriodSeconds: vmi.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS,
      ...(volumes.length === 0 ? {} : { volumes }),
      ...(autoattachSerialConsole && logSerialConsole
        ? { initContainers: [{ name: CONSOLE_LOG_CONTAINER, image: LAUNCHER_IMAGE, restartPolicy: "Always" }] }
        : {}),
      containers: [
        {
          name: COMPUTE_CONTAINER,
          image: LAUNCHER_IMAGE,
          ...(resources === undefined ? {} : { resources }),
          ports: ports.map((port) => ({
            ...(port.name === undefined ? {} : { name: port.name }),
            containerPort: port.port,
            protocol: port.protocol ?? "TCP",
          })),
        },
      ],
    },
  };
}

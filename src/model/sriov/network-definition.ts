import type { NetworkAttachmentDefinition } from "../api/attachment.ts";
import type { SriovNetwork } from "../api/sriov-resources.ts";
import type { Stored } from "../api/stored.ts";
import { isJsonObject, type JsonObject, textAt } from "../json.ts";
import { readJson } from "../networks/cni-json.ts";

/** What a resource of an SriovNetworkNodePolicy is called on nodes and in definitions (the operator's own default). */
export const RESOURCE_PREFIX = "openshift.io/";
/** Names the resource whose devices a network takes. */
export const RESOURCE_ANNOTATION = "k8s.v1.cni.cncf.io/resourceName";
/** Says whose a definition is: it may be in another namespace, where owner references do not reach. */
export const OWNER_ANNOTATION = "sriovnetwork.openshift.io/owner-ref";
/** Holds a network until its definition is gone. */
export const NETWORK_FINALIZER = "netattdef.finalizers.sriovnetwork.openshift.io";

const CNI_VERSION = "1.0.0";

/** The text that marks a definition as this network's. */
export function ownerText({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `SriovNetwork.sriovnetwork.openshift.io/${namespace}/${name}`;
}

/** A field of an SriovNetwork that holds JSON as text. */
export interface JsonText {
  readonly field: "ipam" | "capabilities" | "metaPlugins";
  /** What it is: an object, or a list of objects. Absent where there is none, or a problem. */
  readonly value?: JsonObject;
  readonly list?: readonly JsonObject[];
  readonly problem?: string;
  readonly cure: string;
}

/** Reads the fields that hold JSON as text. Never throws. */
export function jsonTextsOf(spec: JsonObject): readonly JsonText[] {
  return [
    objectText(
      spec,
      "ipam",
      'Write an object such as {"type": "host-local", "subnet": "10.56.217.0/24"}, or {} for no addresses.',
    ),
    objectText(spec, "capabilities", 'Write an object such as {"mac": true}.'),
    listText(spec),
  ];
}

function objectText(spec: JsonObject, field: "ipam" | "capabilities", cure: string): JsonText {
  const text = textAt(spec, field)?.trim() ?? "";
  if (text === "") return { field, cure };
  const reading = readJson(text);
  if ("problem" in reading) return { field, cure, problem: `line ${reading.line}, ${reading.problem}` };
  return isJsonObject(reading.value)
    ? { field, cure, value: reading.value }
    : { field, cure, problem: "it is no object" };
}

function listText(spec: JsonObject): JsonText {
  const [field, cure] = ["metaPlugins", 'Write objects with commas between them: {"type": "tuning"}.'] as const;
  const text = textAt(spec, field)?.trim() ?? "";
  if (text === "") return { field, cure, list: [] };
  const reading = readJson(`[${text}]`);
  if ("problem" in reading) return { field, cure, problem: `line ${reading.line}, ${reading.problem}` };
  const list = Array.isArray(reading.value) ? reading.value.filter(isJsonObject) : [];
  const whole = Array.isArray(reading.value) && reading.value.length === list.length;
  const named = list.every((plugin) => textAt(plugin, "type") !== undefined);
  if (whole && named) return { field, cure, list };
  return { field, cure, problem: whole ? "a plugin has no type" : "it is no list of objects" };
}

/** The namespace and name of the definition that is made of a network. */
export function definitionPlace({ metadata, spec }: Stored<SriovNetwork>): {
  readonly namespace: string;
  readonly name: string;
} {
  const given = spec.networkNamespace ?? "";
  return { namespace: given === "" ? metadata.namespace : given, name: metadata.name };
}

/** The definition that a network makes, as the SR-IOV operator makes it: for the CNI plugin `sriov`. */
export function definitionOfNetwork(network: Stored<SriovNetwork>): NetworkAttachmentDefinition {
  const { spec, metadata } = network;
  const [ipam, capabilities, meta] = jsonTextsOf(spec);
  const others = meta?.list ?? [];
  const plugin = {
    type: "sriov",
    ...said("vlan", spec.vlan),
    ...said("vlanQoS", spec.vlanQoS),
    ...said(
      "vlanProto",
      spec.vlanProto?.replace(/^802\.1([qadQAD]+)$/, (_, kind: string) => `802.1${kind.toLowerCase()}`),
    ),
    ...said("spoofchk", spec.spoofChk),
    ...said("trust", spec.trust),
    ...said("link_state", spec.linkState),
    ...said("min_tx_rate", spec.minTxRate),
    ...said("max_tx_rate", spec.maxTxRate),
    ...said("logLevel", spec.logLevel),
    ...said("logFile", spec.logFile),
    ...said("capabilities", capabilities?.value),
    ipam: ipam?.value ?? {},
  };
  const head = { cniVersion: CNI_VERSION, name: metadata.name };
  const config = others.length === 0 ? { ...head, ...plugin } : { ...head, plugins: [plugin, ...others] };
  return {
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: {
      ...definitionPlace(network),
      annotations: {
        [RESOURCE_ANNOTATION]: `${RESOURCE_PREFIX}${spec.resourceName}`,
        [OWNER_ANNOTATION]: ownerText(metadata),
      },
    },
    spec: { config: JSON.stringify(config) },
  };
}

/** The field, unless it is left out or empty. */
function said<K extends string, T>(key: K, value: T | undefined): { readonly [Key in K]?: T } {
  return value === undefined || value === "" ? {} : ({ [key]: value } as { readonly [Key in K]: T });
}

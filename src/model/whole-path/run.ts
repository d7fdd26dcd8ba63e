import { formatMac, parseMac } from "../addresses/mac.ts";
import { type FieldPath, valueAt } from "../api/field-path.ts";
import type { PluginConfiguration } from "../api/kubevirt.ts";
import { bindings } from "../bindings/registry.ts";
import { isJsonObject, objectAt, textAt } from "../json.ts";
import type { CniFile } from "../manifest/cni-file.ts";
import type { ManifestDocument } from "../manifest/document.ts";
import { objectsAt } from "../manifest/rewritten.ts";
import { type AttachmentDefinition, definitionsAmong } from "../networks/attachment-definitions.ts";
import { qualifiedName } from "../networks/multus.ts";
import { settingsOf } from "../rules/settings.ts";
import { RESOURCE_PREFIX } from "../sriov/network-definition.ts";
import { type CniSource, definitionSource, fileSource } from "./cni-source.ts";

/** Everything that is looked at together. */
export interface Run {
  readonly documents: readonly ManifestDocument[];
  readonly instances: readonly Instance[];
  /** By `namespace/name`. */
  readonly definitions: ReadonlyMap<string, AttachmentDefinition>;
  /** Definitions that an operator makes of an object of the run, by `namespace/name`. */
  readonly operatorMade: ReadonlyMap<string, OperatorMade>;
  /** The CNI configuration of each definition, by `namespace/name`. */
  readonly definitionSources: ReadonlyMap<string, CniSource>;
  /** Those of the definitions, then the files. */
  readonly sources: readonly CniSource[];
  /** Network binding plugins, as the configuration registers them. */
  readonly plugins: ReadonlyMap<string, PluginConfiguration>;
}

/** What is known of a definition that an operator makes. */
export interface OperatorMade {
  /** Of its CNI plugin: `sriov`. */
  readonly type?: string;
  /** What its pods claim a device of. */
  readonly resourceName?: string;
}

/** A VMI, or the one that a VM's template makes, as far as its networks go; what is malformed in it is left out. */
export interface Instance {
  readonly document: ManifestDocument;
  /** `VirtualMachineInstance default/a`. */
  readonly name: string;
  /** `default/a`: a VM and its VMI have the same. */
  readonly key: string;
  readonly namespace: string;
  /** Without those whose interface is absent. */
  readonly networks: readonly InstanceNetwork[];
  readonly nics: readonly InstanceNic[];
}

export interface InstanceNetwork {
  readonly name: string;
  readonly at: FieldPath;
  readonly kind: "pod" | "multus" | "genie" | "other";
  /** As written; empty where the kind has none. */
  readonly networkName: string;
  /** `namespace/name` of a multus network's definition. */
  readonly definition?: string;
  /** True for a multus network that takes the pod network's place. */
  readonly isDefault: boolean;
}

export interface InstanceNic {
  readonly name: string;
  readonly at: FieldPath;
  /** The field that names the binding: `bridge`, `binding`. */
  readonly binding?: string;
  /** Name of its binding plugin. */
  readonly plugin?: string;
  /** In lower case with colons; absent where it is none. */
  readonly mac?: string;
  readonly network?: InstanceNetwork;
}

/** Gathers what completed documents and CNI files say of networks. Never throws. */
export function runOf(
  documents: readonly ManifestDocument[],
  cniFiles: readonly CniFile[],
  configuration: unknown,
): Run {
  const definitions = definitionsAmong(documents);
  const definitionSources = new Map([...definitions].map(([key, definition]) => [key, definitionSource(definition)]));
  return {
    documents,
    instances: documents.flatMap((document) => instanceOf(document) ?? []),
    definitions,
    operatorMade: new Map(documents.flatMap(({ value }) => madeOf(value))),
    definitionSources,
    sources: [...definitionSources.values(), ...cniFiles.map(fileSource)],
    plugins: settingsOf(configuration).plugins,
  };
}

/** The CNI configuration of a multus network; undefined where it is not among the files or cannot be read. */
export function sourceOf({ definitionSources }: Run, network: InstanceNetwork | undefined): CniSource | undefined {
  return definitionSources.get(network?.definition ?? "");
}

/** The SR-IOV operator makes a definition of each of its networks. */
function madeOf(value: ManifestDocument["value"]): readonly (readonly [string, OperatorMade])[] {
  const kind = textAt(value, "kind") ?? "";
  const name = textAt(objectAt(value, "metadata"), "name");
  if (!/^(?:Sriov|SriovIB|OVS)Network$/.test(kind) || name === undefined) return [];
  const spec = objectAt(value, "spec");
  const namespace = textAt(spec, "networkNamespace") ?? textAt(objectAt(value, "metadata"), "namespace");
  const resource = textAt(spec, "resourceName");
  const made =
    kind === "SriovNetwork" && resource !== undefined
      ? { type: "sriov", resourceName: `${RESOURCE_PREFIX}${resource}` }
      : {};
  return [[`${namespace ?? "default"}/${name}`, made]];
}

const ROOTS: Readonly<Record<string, FieldPath>> = {
  VirtualMachineInstance: ["spec"],
  VirtualMachine: ["spec", "template", "spec"],
};

/** The instance that a document is of, or has a template for; undefined for anything else. */
export function instanceOf(document: ManifestDocument): Instance | undefined {
  const { apiVersion, kind } = document.value;
  const isKubeVirt = typeof apiVersion === "string" && apiVersion.startsWith("kubevirt.io/");
  const root = isKubeVirt && typeof kind === "string" && Object.hasOwn(ROOTS, kind) ? ROOTS[kind] : undefined;
  if (root === undefined) return undefined;
  const metadata = objectAt(document.value, "metadata");
  const namespace = textAt(metadata, "namespace") ?? "default";
  const key = `${namespace}/${textAt(metadata, "name") ?? textAt(metadata, "generateName") ?? ""}`;
  const nicsAt = [...root, "domain", "devices", "interfaces"];
  const given = objectsAt(valueAt(document.value, nicsAt), nicsAt).filter(({ item }) => item["state"] !== "absent");
  const attached = new Set(given.map(({ item }) => item["name"]));
  const networksAt = [...root, "networks"];
  const networks = objectsAt(valueAt(document.value, networksAt), networksAt)
    .filter(({ item }) => attached.has(item["name"]))
    .map(({ item, at }) => networkOf(item, at, namespace));
  return {
    document,
    name: `${String(kind)} ${key}`,
    key,
    namespace,
    networks,
    nics: given.map(({ item, at }) => nicOf(item, at, networks)),
  };
}

function networkOf(item: Readonly<Record<string, unknown>>, at: FieldPath, namespace: string): InstanceNetwork {
  const kind = (["multus", "genie", "pod"] as const).find((field) => isJsonObject(item[field])) ?? "other";
  const given = kind === "other" ? {} : objectAt(item, kind);
  const networkName = textAt(given, "networkName") ?? "";
  return {
    name: textAt(item, "name") ?? "",
    at,
    kind,
    networkName,
    ...(kind === "multus" && networkName !== "" ? { definition: qualifiedName(networkName, namespace) } : {}),
    isDefault: kind === "multus" && given["default"] === true,
  };
}

function nicOf(
  item: Readonly<Record<string, unknown>>,
  at: FieldPath,
  networks: readonly InstanceNetwork[],
): InstanceNic {
  const name = textAt(item, "name") ?? "";
  const binding = bindings.find(({ field }) => isJsonObject(item[field]))?.field;
  const plugin = binding === "binding" ? textAt(objectAt(item, "binding"), "name") : undefined;
  const mac = parseMac(textAt(item, "macAddress") ?? "");
  const network = networks.find((one) => one.name === name);
  return {
    name,
    at,
    ...(binding === undefined ? {} : { binding }),
    ...(plugin === undefined ? {} : { plugin }),
    ...(mac === undefined ? {} : { mac: formatMac(mac) }),
    ...(network === undefined ? {} : { network }),
  };
}

import { parseCidr } from "../addresses/cidr.ts";
import { canonicalIp } from "../addresses/ip.ts";
import { canonicalMac } from "../addresses/mac.ts";
import type { Interface } from "../api/interfaces.ts";
import type { NicContext } from "../bindings/binding.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { readJson } from "./cni-json.ts";
import { qualifiedName } from "./multus.ts";
import { PRIMARY_INTERFACE } from "./pod-interface.ts";

/** Of a pod: the networks it has beside its primary one (NPWG specification 1.3, section 4.1). */
export const NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks";
/** Of a pod: the definition that takes the place of the cluster's network. */
export const DEFAULT_NETWORK_ANNOTATION = "v1.multus-cni.io/default-network";
/** Of a pod: the CNI types that Genie attaches, with commas between them. */
export const GENIE_ANNOTATION = "cni";

/** One element of the annotation `k8s.v1.cni.cncf.io/networks`. */
export interface NetworkSelection {
  readonly namespace: string;
  /** Of the NetworkAttachmentDefinition. */
  readonly name: string;
  /** The pod's link; `net1`, `net2`, … by position where the annotation names none. */
  readonly interface: string;
  /** As it is written. */
  readonly mac?: string;
  readonly ips?: readonly string[];
  /** Merged into `args.cni` of each plugin's configuration. */
  readonly cniArgs?: JsonObject;
  /** What plugins with the capability of that name get: `portMappings`, `bandwidth`. */
  readonly runtimeConfig: JsonObject;
}

/** The networks of a pod as its annotations ask for them. */
export interface PodNetworks {
  /** The definition of the primary network; absent: the cluster's network. */
  readonly primary?: { readonly namespace: string; readonly name: string };
  /** In the order in which they are attached. */
  readonly selections: readonly NetworkSelection[];
  /** The CNI types that Genie attaches, `eth0` first; empty where Genie has nothing to do. */
  readonly genie: readonly string[];
}

export type PodNetworksReading =
  | { readonly networks: PodNetworks }
  | {
      /** The annotation that cannot be understood. */
      readonly annotation: string;
      readonly problem: string;
    };

/**
 * The annotations by which a launcher pod asks for the networks of its NICs (reference 1.7, 4.2).
 *
 * MACs are given on as `interfaces` spells them. The list follows the interfaces' order; the definition of a binding
 * plugin comes right after its interface's own network, and its CNI is told the network's name.
 */
export function attachmentAnnotations(
  nics: readonly NicContext[],
  interfaces: readonly Interface[],
  namespace: string,
): Readonly<Record<string, string>> {
  const elements = nics.flatMap((nic) => [...networkElement(nic), ...pluginElement(nic)]);
  function networkElement({ network, podInterface, index, mac: kept }: NicContext): readonly object[] {
    if (network.kind !== "multus" || network.default) return [];
    const [of, name] = parts(qualifiedName(network.networkName, namespace));
    const mac = interfaces[index]?.macAddress || kept;
    return [{ name, namespace: of, ...(mac === undefined ? {} : { mac }), interface: podInterface }];
  }
  function pluginElement({ name: logicNetworkName, plugin }: NicContext): readonly object[] {
    const { networkAttachmentDefinition: definition = "" } = plugin ?? {};
    if (definition === "") return [];
    const [of, name] = parts(qualifiedName(definition, namespace));
    return [{ name, namespace: of, "cni-args": { logicNetworkName } }];
  }
  const primary = nics.flatMap(({ network }) =>
    network.kind === "multus" && network.default ? [network.networkName] : [],
  );
  const genie = nics
    .flatMap(({ network, podInterface }) =>
      network.kind === "genie" ? [{ podInterface, type: network.networkName }] : [],
    )
    .toSorted((one, other) => Number(one.podInterface.slice(3)) - Number(other.podInterface.slice(3)));
  return {
    ...(elements.length === 0 ? {} : { [NETWORKS_ANNOTATION]: JSON.stringify(elements) }),
    ...(primary[0] === undefined ? {} : { [DEFAULT_NETWORK_ANNOTATION]: primary[0] }),
    ...(genie.length === 0 ? {} : { [GENIE_ANNOTATION]: genie.map(({ type }) => type).join(",") }),
  };
}

/** Reads what a pod's annotations ask for; `namespace` is the pod's. Never throws. */
export function readPodNetworks(annotations: Readonly<Record<string, string>>, namespace: string): PodNetworksReading {
  const named = annotations[DEFAULT_NETWORK_ANNOTATION]?.trim() ?? "";
  const reference = named === "" ? undefined : referenceOf(named, namespace);
  if (typeof reference === "string") return { annotation: DEFAULT_NETWORK_ANNOTATION, problem: reference };
  const selections = readSelections(annotations[NETWORKS_ANNOTATION] ?? "", namespace);
  if (typeof selections === "string") return { annotation: NETWORKS_ANNOTATION, problem: selections };
  const taken = selections.find(
    (one, index) =>
      one.interface === PRIMARY_INTERFACE ||
      selections.findIndex((other) => other.interface === one.interface) !== index,
  );
  if (taken !== undefined) {
    return { annotation: NETWORKS_ANNOTATION, problem: `two networks ask for the interface "${taken.interface}"` };
  }
  const genie = (annotations[GENIE_ANNOTATION] ?? "").split(",").map((type) => type.trim());
  return {
    networks: {
      ...(reference === undefined ? {} : { primary: { namespace: reference.namespace, name: reference.name } }),
      selections,
      genie: genie.filter((type) => type !== ""),
    },
  };
}

/** The list as JSON or in the short form `namespace/name@interface,…`; a text that says what is wrong with it. */
function readSelections(text: string, namespace: string): readonly NetworkSelection[] | string {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  if (!/^[[{"]/.test(trimmed)) {
    const items = trimmed.split(",").map((item, index) => {
      const reference = referenceOf(item.trim(), namespace);
      return typeof reference === "string"
        ? reference
        : { ...reference, interface: reference.interface ?? `net${index + 1}`, runtimeConfig: {} };
    });
    return items.find((item) => typeof item === "string") ?? items.filter((item) => typeof item !== "string");
  }
  const reading = readJson(trimmed);
  if ("problem" in reading) return reading.problem;
  if (!Array.isArray(reading.value)) return "it is no list";
  const items = reading.value.map((item, index) => elementOf(item, index, namespace));
  return items.find((item) => typeof item === "string") ?? items.filter((item) => typeof item !== "string");
}

const KNOWN = ["name", "namespace", "interface", "mac", "ips", "cni-args", "portMappings", "bandwidth"];

function elementOf(value: unknown, index: number, namespace: string): NetworkSelection | string {
  const which = `element ${index + 1}`;
  if (!isJsonObject(value)) return `${which} is no object`;
  const unknown = Object.keys(value).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) return `${which} has "${unknown}", which is not known here`;
  // As for Multus, null and an empty text say as little as nothing.
  const said = Object.fromEntries(Object.entries(value).filter(([, one]) => one !== null && one !== ""));
  const { name, namespace: of = namespace, interface: link = `net${index + 1}`, mac, ips } = said;
  const { "cni-args": cniArgs, portMappings, bandwidth } = said;
  if (typeof name !== "string" || typeof of !== "string") return `${which} does not name a definition`;
  const reference = referenceOf(`${of}/${name}`, namespace);
  if (typeof reference === "string") return reference;
  if (typeof link !== "string" || !LINK.test(link)) return `${which} has an "interface" that no link can be called`;
  if (mac !== undefined && (typeof mac !== "string" || canonicalMac(mac) === undefined)) {
    return `${which} has a "mac" that is none`;
  }
  // They become one of CNI_ARGS, where a semicolon would begin another.
  if (ips !== undefined && !isAddresses(ips)) return `${which} has "ips" that are no list of addresses`;
  if (cniArgs !== undefined && !isJsonObject(cniArgs)) return `${which} has "cni-args" that are no object`;
  return {
    namespace: reference.namespace,
    name: reference.name,
    interface: link,
    ...(mac === undefined ? {} : { mac }),
    ...(ips === undefined || ips.length === 0 ? {} : { ips }),
    ...(isJsonObject(cniArgs) ? { cniArgs } : {}),
    runtimeConfig: {
      ...(portMappings === undefined ? {} : { portMappings }),
      ...(bandwidth === undefined ? {} : { bandwidth }),
    },
  };
}

/** Each with a prefix length or without. */
const isAddresses = (value: unknown): value is readonly string[] =>
  Array.isArray(value) &&
  value.every((item) => typeof item === "string" && (canonicalIp(item) !== undefined || parseCidr(item) !== undefined));

/** Names of objects (RFC 1123 subdomains). */
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const LINK = /^[^\s/:\0]{1,15}$/;

function referenceOf(
  text: string,
  namespace: string,
): { readonly namespace: string; readonly name: string; readonly interface?: string } | string {
  const [reference = "", link, ...more] = text.split("@");
  const [of, name, ...rest] = parts(qualifiedName(reference, namespace));
  if (more.length > 0 || rest.length > 0 || !NAME.test(of) || !NAME.test(name)) {
    return `"${text}" does not name a definition`;
  }
  if (link !== undefined && !LINK.test(link)) return `"${link}" cannot be the name of an interface`;
  return { namespace: of, name, ...(link === undefined ? {} : { interface: link }) };
}

function parts(qualified: string): readonly [string, string, ...string[]] {
  const [of = "", name = "", ...rest] = qualified.split("/");
  return [of, name, ...rest];
}

import { basename } from "node:path";
import { Fault } from "../../model/fault.ts";
import type { JsonObject } from "../../model/json.ts";
import { isJsonObject } from "../../model/json.ts";
import { nearMiss } from "../../model/near-miss.ts";
import { completedConfig } from "../../model/networks/attachment-config.ts";
import { type CniNetwork, type CniPlugin, parseCniConfig } from "../../model/networks/cni-config.ts";
import type { NetworkSelection, PodNetworks } from "../../model/networks/network-selection.ts";
import { PRIMARY_INTERFACE } from "../../model/networks/pod-interface.ts";
import type { NodeDevice } from "../../model/pods/device-resources.ts";
import { type ConfiguredNetwork, confFiles, podNetworkOf, readNetwork, usableNetwork } from "./conf-dir.ts";
import { withFlannel } from "./flannel.ts";

/** One attachment of a pod: what is run for which link. */
export interface Delegate {
  readonly network: CniNetwork;
  readonly ifName: string;
  /** True for the pod's own network. */
  readonly primary: boolean;
  /** `namespace/name` of the NetworkAttachmentDefinition that it follows from. */
  readonly definition?: string;
  /** Where its configuration is written: a file, or the definition. */
  readonly place: string;
  /** CNI_ARGS beside the pod's. */
  readonly args: readonly (readonly [string, string])[];
  readonly runtimeConfig: JsonObject;
  /** What the definition says that its pods claim a device of. */
  readonly resourceName?: string;
  /** The device of it that the pod has. */
  readonly device?: NodeDevice;
}

/** A NetworkAttachmentDefinition, as far as it matters here. */
export interface Definition {
  readonly namespace: string;
  readonly name: string;
  /** CNI configuration; empty: that of the folder with the definition's name. */
  readonly config: string;
  /** Of the annotation `k8s.v1.cni.cncf.io/resourceName`. */
  readonly resourceName?: string;
}

/** What configurations are found in. */
export interface DelegationSources {
  readonly confDir: string;
  readonly binDirs: readonly string[];
  /** Every definition of the cluster; called where a pod names one. */
  readonly definitions: () => Promise<readonly Definition[]>;
}

/**
 * The attachments of a pod in the order of their ADDs, as Multus and Genie make them of the pod's annotations: the primary
 * network first.
 *
 * @throws Fault PB3030 (no such definition), PB3001–PB3005 (configurations), PB2704, PB2706 (Genie's), PB3032 (flannel's
 * subnet).
 */
export async function delegatesOf(
  { primary, selections, genie }: PodNetworks,
  sources: DelegationSources,
): Promise<readonly Delegate[]> {
  const definitions = primary === undefined && selections.length === 0 ? [] : await sources.definitions();
  const first = genie.length > 0 ? genieDelegates(genie, sources.confDir) : [primaryDelegate()];
  return [...first, ...selections.map(selectedDelegate)].map((delegate) => ({
    ...delegate,
    network: withFlannel(delegate.network, sources.binDirs),
  }));

  function primaryDelegate(): Delegate {
    const base = { ifName: PRIMARY_INTERFACE, primary: true, args: [], runtimeConfig: {} };
    if (primary === undefined) return { ...base, ...placed(clusterNetwork(sources.confDir)) };
    return { ...base, ...defined(primary) };
  }

  function selectedDelegate(selection: NetworkSelection): Delegate {
    const { network, ...from } = defined(selection);
    const { interface: ifName, mac, ips, cniArgs } = selection;
    return {
      ...from,
      network: cniArgs === undefined ? network : withCniArgs(network, cniArgs),
      ifName,
      primary: false,
      // As Multus does: as arguments for old plugins, and by capability for newer ones.
      args: [
        ...(mac === undefined ? [] : [["MAC", mac] as const]),
        ...(ips === undefined ? [] : [["IP", ips.join(",")] as const]),
      ],
      runtimeConfig: {
        ...selection.runtimeConfig,
        ...(mac === undefined ? {} : { mac }),
        ...(ips === undefined ? {} : { ips }),
      },
    };
  }

  function defined(reference: Pick<Definition, "namespace" | "name">): {
    readonly network: CniNetwork;
    readonly definition: string;
    readonly place: string;
    readonly resourceName?: string;
  } {
    const found = definitions.find(
      ({ namespace, name }) => namespace === reference.namespace && name === reference.name,
    );
    if (found === undefined) throw missing(reference, definitions);
    const definition = `${found.namespace}/${found.name}`;
    const claims = found.resourceName === undefined ? {} : { resourceName: found.resourceName };
    if (found.config.trim() === "") {
      return { definition, ...claims, ...placed(namedNetwork(found.name, sources.confDir)) };
    }
    const place = `NetworkAttachmentDefinition ${definition}`;
    const reading = parseCniConfig(completedConfig(found.config, found.name).text);
    return {
      definition,
      ...claims,
      place,
      network: usableNetwork(reading, `The CNI configuration of the ${place}`, place),
    };
  }
}

function placed({ file, network }: ConfiguredNetwork): { readonly network: CniNetwork; readonly place: string } {
  return { network, place: file };
}

const GENIE = "genie";

/** The cluster's network: the first configuration, or where that is Genie's own, the one of its default plugin. */
function clusterNetwork(confDir: string): ConfiguredNetwork {
  const first = podNetworkOf(confDir);
  const own = first.network.plugins.find(({ type }) => type === GENIE);
  if (own === undefined) return first;
  const { default_plugin: named } = own.config;
  const [type] = typeof named === "string" ? named.split(",") : [];
  const others = othersOf(confDir);
  const chosen = type === undefined || type === "" ? others[0] : ofType(type.trim(), others, first.file);
  if (chosen === undefined) {
    throw new Fault("PB3001", `The folder ${confDir} has Genie's CNI configuration and no other.`, {
      place: confDir,
      cure: "Add the configuration of the cluster's network; Genie only chooses among them.",
    });
  }
  return chosen;
}

/** Genie's networks: `eth0`, `eth1`, … by the CNI types that are asked for (reference 1.7). */
function genieDelegates(types: readonly string[], confDir: string): readonly Delegate[] {
  const first = podNetworkOf(confDir);
  if (!isGenies(first)) {
    throw new Fault(
      "PB2704",
      `The pod asks CNI-Genie for ${types.join(", ")}, and the first CNI configuration of ${confDir} is ${basename(first.file)}, which is not Genie's.`,
      {
        place: first.file,
        cure: `Add Genie's configuration to the folder so that it sorts first: 00-genie.conf with "type": "genie".`,
      },
    );
  }
  const others = othersOf(confDir);
  return types.map((type, index) => ({
    ...placed(ofType(type, others, confDir)),
    ifName: `eth${index}`,
    primary: index === 0,
    args: [],
    runtimeConfig: {},
  }));
}

/** Genie finds a configuration by its type, and does without a name, which today's plugins want. */
function othersOf(confDir: string): readonly ConfiguredNetwork[] {
  return confFiles(confDir)
    .flatMap((file) => {
      try {
        return [readNetwork(file, { nameless: true })];
      } catch {
        // A file that nobody asks for keeps nobody from the others.
        return [];
      }
    })
    .filter((network) => !isGenies(network));
}

const isGenies = ({ network }: ConfiguredNetwork): boolean => network.plugins.some(({ type }) => type === GENIE);

function ofType(type: string, others: readonly ConfiguredNetwork[], place: string): ConfiguredNetwork {
  const found = others.find(({ network }) => network.plugins[0]?.type === type);
  if (found !== undefined) return found;
  const known = others.flatMap(({ network }) => network.plugins[0]?.type ?? []);
  const near = nearMiss(type, known);
  throw new Fault("PB2706", `No CNI configuration of the folder has the type "${type}".`, {
    place,
    cure:
      near === undefined
        ? `Add one whose first plugin is "${type}"${known.length === 0 ? "" : `, or ask for one of ${known.join(", ")}`}.`
        : `Did you mean "${near}"?`,
    data: { type, known },
  });
}

/** The configuration of that name in the folder: what a definition without a configuration means. */
function namedNetwork(name: string, confDir: string): ConfiguredNetwork {
  for (const file of confFiles(confDir)) {
    try {
      const found = readNetwork(file);
      if (found.network.name === name) return found;
    } catch {
      // Another's, most likely; where it was the wanted one, what follows says what to look for.
    }
  }
  throw new Fault("PB3001", `The folder ${confDir} has no usable CNI configuration of the name "${name}".`, {
    place: confDir,
    cure: "Write the configuration into spec.config of the NetworkAttachmentDefinition, or add a file of that name.",
  });
}

function missing({ namespace, name }: Pick<Definition, "namespace" | "name">, there: readonly Definition[]): Fault {
  const elsewhere = there.find((definition) => definition.name === name);
  const near = nearMiss(
    name,
    there.filter((definition) => definition.namespace === namespace).map((definition) => definition.name),
  );
  const cure =
    elsewhere !== undefined
      ? `There is one in the namespace ${elsewhere.namespace}: write networkName: ${elsewhere.namespace}/${name}.`
      : near !== undefined
        ? `Did you mean "${near}"?`
        : "Apply it; the VM starts by itself then.";
  return new Fault("PB3030", `There is no NetworkAttachmentDefinition ${namespace}/${name}.`, {
    place: `${namespace}/${name}`,
    cure,
    data: { namespace, name },
  });
}

/** The attachment with a device of its own, told to its plugins as Multus tells it: to the first, and by capability. */
export function withDevice(delegate: Delegate, device: NodeDevice): Delegate {
  const { id, config = {} } = device;
  const [first, ...others] = delegate.network.plugins;
  if (first === undefined) return delegate;
  const told = { ...first, config: { ...first.config, ...config, deviceID: id, pciBusID: id } };
  return {
    ...delegate,
    device,
    network: { ...delegate.network, plugins: [told, ...others] },
    runtimeConfig: { ...delegate.runtimeConfig, deviceID: id },
  };
}

/** The arguments go to each plugin of the list, under those of its own configuration of another name. */
function withCniArgs(network: CniNetwork, cniArgs: JsonObject): CniNetwork {
  const merged = ({ config, ...plugin }: CniPlugin): CniPlugin => {
    const args = isJsonObject(config["args"]) ? config["args"] : {};
    const cni = isJsonObject(args["cni"]) ? args["cni"] : {};
    return { ...plugin, config: { ...config, args: { ...args, cni: { ...cni, ...cniArgs } } } };
  };
  return { ...network, plugins: network.plugins.map(merged) };
}

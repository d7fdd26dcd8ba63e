import { type Configuration, configuration as configurationSchema, type PluginConfiguration } from "../api/kubevirt.ts";
import { checkShape } from "../api/shape.ts";

/** The bindings that a NIC can get by default. */
export const DEFAULT_BINDINGS = ["bridge", "masquerade", "slirp"] as const;
export type DefaultBinding = (typeof DEFAULT_BINDINGS)[number];

/** The feature gates that some rule asks for. */
export const GATES = [
  "DecentralizedLiveMigration",
  "DeclarativeHotplugVolumes",
  "ExperimentalIgnitionSupport",
  "Macvtap",
  "NetworkBindingPlugins",
  "NetworkDevicesWithDRA",
  "Passt",
  "PasstBinding",
  "PortRangesSpec",
  "Sidecar",
  "WorkloadEncryptionSEV",
  "WorkloadEncryptionTDX",
] as const;
export type Gate = (typeof GATES)[number];

/** What the rules ask of `spec.configuration`, defaults applied. */
export interface Settings {
  readonly defaultBinding: DefaultBinding;
  readonly permitSlirp: boolean;
  readonly permitBridgeOnPodNetwork: boolean;
  readonly plugins: ReadonlyMap<string, PluginConfiguration>;
  /** The feature gates that are listed; case sensitive. */
  readonly gates: ReadonlySet<Gate>;
  /** Why the configuration counts as empty, where it does. */
  readonly invalid?: string;
}

/**
 * Settings of `spec.configuration` of a KubeVirt resource.
 *
 * One bad value voids the whole configuration: KubeVirt then goes on as if nothing were set.
 */
export function settingsOf(configuration: unknown): Settings {
  const given = withoutNulls(configuration) ?? {};
  const invalid = faultOf(given);
  return invalid === undefined ? settingsFrom(given as Configuration) : { ...settingsFrom({}), invalid };
}

/** Null is nothing here, as it is for whoever wrote the resource. Deeper than settings go, values stay as they are. */
function withoutNulls(value: unknown, depth = 6): unknown {
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value) || depth === 0) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) => (field === null ? [] : [[key, withoutNulls(field, depth - 1)]])),
  );
}

function faultOf(configuration: unknown): string | undefined {
  const [problem] = checkShape(configurationSchema, configuration).filter(({ kind }) => kind !== "unknown");
  if (problem !== undefined) return `${problem.path} is ${problem.found}, not ${problem.expected}`;
  const name = (configuration as Configuration).network?.defaultNetworkInterface ?? "";
  return name === "" || isDefaultBinding(name)
    ? undefined
    : `network.defaultNetworkInterface "${name}" is none of ${DEFAULT_BINDINGS.join(", ")}`;
}

function settingsFrom(configuration: Configuration): Settings {
  const { network, developerConfiguration } = configuration;
  const name = network?.defaultNetworkInterface ?? "";
  return {
    defaultBinding: isDefaultBinding(name) ? name : "bridge",
    permitSlirp: network?.permitSlirpInterface ?? false,
    permitBridgeOnPodNetwork: network?.permitBridgeInterfaceOnPodNetwork ?? true,
    plugins: new Map(Object.entries(network?.binding ?? {})),
    gates: new Set(GATES.filter((gate) => developerConfiguration?.featureGates?.includes(gate) === true)),
  };
}

function isDefaultBinding(name: string): name is DefaultBinding {
  return DEFAULT_BINDINGS.some((binding) => binding === name);
}

/**
 * The configuration that the `kubevirt-config` ConfigMap of KubeVirt before 0.48 says.
 *
 * A gate was open when its name stood anywhere in the text. A boolean that is neither `true`, `false` nor empty voids
 * the configuration, as a bad default interface does.
 */
export function configurationOfConfigMap(data: Readonly<Record<string, string>>): unknown {
  const boolean = (text: string | undefined): unknown =>
    text === "true" ? true : text === "false" ? false : text === undefined || text === "" ? undefined : text;
  const entries = {
    defaultNetworkInterface: data["default-network-interface"],
    permitSlirpInterface: boolean(data["permitSlirpInterface"]),
    permitBridgeInterfaceOnPodNetwork: boolean(data["permitBridgeInterfaceOnPodNetwork"]),
  };
  const text = data["feature-gates"] ?? "";
  return {
    network: Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)),
    developerConfiguration: { featureGates: GATES.filter((gate) => text.includes(gate)) },
  };
}

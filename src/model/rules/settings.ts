import { type FieldPath, fieldPath, valueAt } from "../api/field-path.ts";
import { type Configuration, configuration as configurationSchema, type PluginConfiguration } from "../api/kubevirt.ts";
import { checkShape } from "../api/shape.ts";
import { nearMiss } from "../near-miss.ts";
import { GATES, type Gate } from "./gates.ts";
import { isSpoofGuardOn, SPOOF_GUARD_ANNOTATION } from "./spoof-guard.ts";

/** The bindings that a NIC can get by default. */
export const DEFAULT_BINDINGS = ["bridge", "masquerade", "slirp"] as const;
export type DefaultBinding = (typeof DEFAULT_BINDINGS)[number];

/** What the rules ask of `spec.configuration`, defaults applied. */
export interface Settings {
  readonly defaultBinding: DefaultBinding;
  readonly permitSlirp: boolean;
  readonly permitBridgeOnPodNetwork: boolean;
  readonly plugins: ReadonlyMap<string, PluginConfiguration>;
  /** The feature gates that are listed; case sensitive. */
  readonly gates: ReadonlySet<Gate>;
  /** Every guest that does not say otherwise is kept to its own MAC and addresses. */
  readonly spoofGuard: boolean;
  /** Why the configuration counts as empty, where it does. */
  readonly invalid?: VoidingValue;
}

/** A value for which the whole configuration counts as empty. */
export interface VoidingValue {
  /** What is wrong with it, as a sentence without its end. */
  readonly reason: string;
  /** Where it stands, from `spec.configuration`. */
  readonly at: FieldPath;
  /** What would be taken, as a phrase. */
  readonly expected: string;
  /** The word that it was meant to be, where one is near. */
  readonly meant?: string;
}

/**
 * Settings of `spec.configuration` of a KubeVirt resource.
 *
 * One bad value voids the whole configuration: KubeVirt then goes on as if nothing were set.
 */
export function settingsOf(configuration: unknown): Settings {
  if (typeof configuration !== "object" || configuration === null) return read(configuration);
  const known = settingsByConfiguration.get(configuration);
  if (known !== undefined) return known;
  const settings = read(configuration);
  settingsByConfiguration.set(configuration, settings);
  return settings;
}

/** The same configuration holds for most of what is judged. */
const settingsByConfiguration = new WeakMap<object, Settings>();

function read(configuration: unknown): Settings {
  const given = withoutNulls(configuration) ?? {};
  const invalid = faultOf(given);
  // KubeVirt knows nothing of the guard: what voids its configuration must not open the door.
  const spoofGuard = isSpoofGuardOn(valueAt(given, [SPOOF_GUARD_ANNOTATION])) === true;
  return invalid === undefined
    ? { ...settingsFrom(given as Configuration), spoofGuard }
    : { ...settingsFrom({}), spoofGuard, invalid };
}

/** Null is nothing here, as it is for whoever wrote the resource. Deeper than settings go, values stay as they are. */
function withoutNulls(value: unknown, depth = 6): unknown {
  if (value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value) || depth === 0) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) => (field === null ? [] : [[key, withoutNulls(field, depth - 1)]])),
  );
}

function faultOf(configuration: unknown): VoidingValue | undefined {
  const [problem] = checkShape(configurationSchema, configuration).filter(({ kind }) => kind !== "unknown");
  if (problem !== undefined) {
    const { path, at, found, expected } = problem;
    return { reason: `${path} is ${found}, not ${expected}`, at, expected };
  }
  const name = (configuration as Configuration).network?.defaultNetworkInterface ?? "";
  if (name === "" || isDefaultBinding(name)) return faultBesideNetworks(configuration);
  const known = DEFAULT_BINDINGS.join(", ");
  const meant = nearMiss(name, DEFAULT_BINDINGS);
  return {
    reason: `network.defaultNetworkInterface "${name}" is none of ${known}`,
    at: ["network", "defaultNetworkInterface"],
    expected: `one of ${known}`,
    ...(meant === undefined ? {} : { meant }),
  };
}

/** What KubeVirt looks at besides; 0 is as good as nothing there. */
const NUMBERS = [
  { at: ["developerConfiguration", "memoryOvercommit"], most: Number.POSITIVE_INFINITY, expected: "more than 0" },
  { at: ["developerConfiguration", "cpuAllocationRatio"], most: Number.POSITIVE_INFINITY, expected: "more than 0" },
  { at: ["developerConfiguration", "pvcTolerateLessSpaceUpToPercent"], most: 100, expected: "from 0 to 100" },
];
const PULL_POLICIES = ["Always", "IfNotPresent", "Never"];

function faultBesideNetworks(configuration: unknown): VoidingValue | undefined {
  for (const { at, most, expected } of NUMBERS) {
    const value = valueAt(configuration, at);
    if (typeof value !== "number" || (value >= 0 && value <= most)) continue;
    return { reason: `${fieldPath(at)} ${value} is not ${expected}`, at, expected: `a whole number ${expected}` };
  }
  const at = ["imagePullPolicy"];
  const policy = valueAt(configuration, at);
  if (typeof policy !== "string" || policy === "" || PULL_POLICIES.includes(policy)) return undefined;
  const known = PULL_POLICIES.join(", ");
  const meant = nearMiss(policy, PULL_POLICIES);
  return {
    reason: `imagePullPolicy "${policy}" is none of ${known}`,
    at,
    expected: `one of ${known}`,
    ...(meant === undefined ? {} : { meant }),
  };
}

function settingsFrom(configuration: Configuration): Omit<Settings, "spoofGuard"> {
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

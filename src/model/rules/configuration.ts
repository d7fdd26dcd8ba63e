import { type FieldPath, fieldPath, valueAt } from "../api/field-path.ts";
import type { KubeObject } from "../api/resource.ts";
import type { Stored } from "../api/stored.ts";
import { isJsonObject } from "../json.ts";
import { nearMiss } from "../near-miss.ts";
import { CONFIG_MAP_KEYS, configurationOfConfigMap, isConfigMapKey, OTHER_CONFIG_MAP_KEYS } from "./config-map.ts";
import { GATES, isGate, KNOWN_GATES } from "./gates.ts";
import { settingsOf } from "./settings.ts";
import { isSpoofGuardOn, SPOOF_GUARD_ANNOTATION } from "./spoof-guard.ts";

/** Name of the ConfigMap that held the configuration before KubeVirt 0.48. */
export const CONFIG_MAP = "kubevirt-config";

/** A configuration as some object gives it. */
export interface GivenConfiguration {
  /**
   * `spec.configuration` of the KubeVirt resource, or what the ConfigMap says in its words; with the object's annotation of
   * the spoof guard under its own name, where it has one.
   */
  readonly configuration: unknown;
  /** The annotation {@link SPOOF_GUARD_ANNOTATION} as it is written. */
  readonly spoofGuard: unknown;
  /** Where it stands in the object. */
  readonly at: FieldPath;
  /** Where a part of {@link configuration} stands in the object. */
  place(keys: FieldPath): FieldPath;
  /** The feature gates as they are written, each with its place. */
  readonly gates: readonly { readonly word: unknown; readonly at: FieldPath }[];
  /** Keys of the ConfigMap. */
  readonly keys: readonly string[];
}

/** Something to say about a configuration. */
export interface ConfigurationProblem {
  readonly code: "PB1005" | "PB2304" | "PB2305" | "PB2306" | "PB2307" | "PB2308";
  readonly at: FieldPath;
  readonly message: string;
  /** What would be taken, as a phrase. */
  readonly expected: string;
  readonly cure: string;
}

const SPOOF_GUARD_AT = ["metadata", "annotations", SPOOF_GUARD_ANNOTATION];
const GATES_AT = ["developerConfiguration", "featureGates"];

/**
 * `spec.configuration` that a cluster with these objects goes by: of the older ConfigMaps, else of the KubeVirt resources,
 * the oldest; `{}` where there is none.
 */
export function governingConfiguration(
  configMaps: readonly Stored<KubeObject>[],
  kubeVirts: readonly Stored<KubeObject>[],
): unknown {
  const [governing] = [...oldestFirst(configMaps), ...oldestFirst(kubeVirts)];
  return (
    (governing === undefined ? undefined : givenConfiguration({ ...governing })?.configuration) ?? NO_CONFIGURATION
  );
}

const NO_CONFIGURATION: unknown = Object.freeze({});

/** Of several objects that give settings the first counts. */
export function oldestFirst(list: readonly Stored<KubeObject>[]): readonly Stored<KubeObject>[] {
  return list.toSorted((one, other) => age(one).localeCompare(age(other)));
}

function age({ metadata }: Stored<KubeObject>): string {
  return `${metadata.creationTimestamp ?? ""}/${metadata.uid}`;
}

/** The configuration that an object gives; undefined for one that gives none. */
export function givenConfiguration(object: Readonly<Record<string, unknown>>): GivenConfiguration | undefined {
  const given = configurationIn(object);
  const spoofGuard = valueAt(object, SPOOF_GUARD_AT);
  if (given === undefined || spoofGuard === undefined) return given && { ...given, spoofGuard };
  const { configuration } = given;
  const own = isJsonObject(configuration) || configuration === undefined || configuration === null;
  return {
    ...given,
    spoofGuard,
    // What is no object voids the configuration, and is told as it is.
    configuration: own ? { ...configuration, [SPOOF_GUARD_ANNOTATION]: spoofGuard } : configuration,
  };
}

function configurationIn(
  object: Readonly<Record<string, unknown>>,
): Omit<GivenConfiguration, "spoofGuard"> | undefined {
  if (object["kind"] === "KubeVirt") {
    const at = ["spec", "configuration"];
    const configuration = valueAt(object, at);
    const listed = valueAt(configuration, GATES_AT);
    return {
      configuration,
      at,
      place: (keys) => [...at, ...keys],
      gates: (Array.isArray(listed) ? listed : []).map((word: unknown, index) => ({
        word,
        at: [...at, ...GATES_AT, index],
      })),
      keys: [],
    };
  }
  if (object["kind"] !== "ConfigMap" || valueAt(object, ["metadata", "name"]) !== CONFIG_MAP) return undefined;
  const data = object["data"];
  const words = Object.entries(isJsonObject(data) ? data : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  const given = Object.fromEntries(words);
  return {
    configuration: configurationOfConfigMap(given),
    at: ["data"],
    place: (keys) => [
      "data",
      ...CONFIG_MAP_KEYS.filter(({ field }) => field.join() === keys.join()).map(({ key }) => key),
    ],
    gates: (given["feature-gates"] ?? "")
      .split(",")
      .map((word) => word.trim())
      // One that has a gate's name in it opens the gate.
      .filter((word) => word !== "" && !GATES.some((gate) => word.includes(gate)))
      .map((word) => ({ word, at: ["data", "feature-gates"] })),
    keys: words.map(([key]) => key),
  };
}

/** That the annotation of the spoof guard says neither (PB1005). */
export function spoofGuardProblem({ spoofGuard }: GivenConfiguration): ConfigurationProblem | undefined {
  if (spoofGuard === undefined || isSpoofGuardOn(spoofGuard) !== undefined) return undefined;
  return {
    code: "PB1005",
    at: SPOOF_GUARD_AT,
    message: `It is neither "true" nor "false".`,
    expected: '"true" or "false"',
    cure: 'Write "true" where every guest is to be kept to its own MAC and addresses; else leave it out.',
  };
}

/** That one bad value voids the whole (PB2304). */
export function voidConfiguration({ configuration, place }: GivenConfiguration): ConfigurationProblem | undefined {
  const { invalid } = settingsOf(configuration);
  if (invalid === undefined) return undefined;
  const { reason, at, expected, meant } = invalid;
  return {
    code: "PB2304",
    at: place(at),
    message: `The configuration counts as empty: ${reason}.`,
    expected,
    cure: `${meant === undefined ? "" : `Did you mean "${meant}"? `}Correct this value; all others hold then.`,
  };
}

/**
 * Gates that open nothing: KubeVirt compares letter by letter, so that one with other capitals stays shut (PB2305), and so
 * does one that is misspelt (PB2306). What is like no gate at all may be one of another version.
 */
export function misspeltGates({ gates }: GivenConfiguration): ConfigurationProblem[] {
  return gates.flatMap(({ word, at }): ConfigurationProblem[] => {
    if (typeof word !== "string" || isGate(word)) return [];
    const same = KNOWN_GATES.find((gate) => gate.toLowerCase() === word.toLowerCase());
    const meant = same ?? nearMiss(word, KNOWN_GATES);
    if (meant === undefined) return [];
    return [
      {
        code: same === undefined ? "PB2306" : "PB2305",
        at,
        message: `The feature gate "${word}" opens nothing: ${same === undefined ? "there is none of this name" : "capitals count"}.`,
        expected: meant,
        cure: same === undefined ? `Did you mean "${meant}"?` : `Write "${meant}".`,
      },
    ];
  });
}

/** Keys of the ConfigMap that nothing reads (PB2308). */
export function unknownKeys({ keys }: GivenConfiguration): ConfigurationProblem[] {
  return keys
    .filter((key) => !isConfigMapKey(key) && !OTHER_CONFIG_MAP_KEYS.includes(key))
    .map((key) => {
      const known = CONFIG_MAP_KEYS.map((one) => one.key);
      const meant = nearMiss(key, known);
      return {
        code: "PB2308",
        at: ["data", key],
        message: `The key "${key}" of ${CONFIG_MAP} is read by nothing.`,
        expected: `one of ${known.join(", ")}`,
        cure: meant === undefined ? "Remove it." : `Did you mean "${meant}"?`,
      };
    });
}

/** A problem as one sentence for people who see no file. */
export function problemText({ code, at, message, cure }: ConfigurationProblem): string {
  return `${code}: ${fieldPath(at)}: ${message} ${cure}`;
}

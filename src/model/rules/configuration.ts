import { type FieldPath, fieldPath, valueAt } from "../api/field-path.ts";
import { isJsonObject } from "../json.ts";
import { configurationOfConfigMap, GATES, settingsOf } from "./settings.ts";

/** Name of the ConfigMap that held the configuration before KubeVirt 0.48. */
export const CONFIG_MAP = "kubevirt-config";

/** A configuration as some object gives it. */
export interface GivenConfiguration {
  /** `spec.configuration` of the KubeVirt resource, or what the ConfigMap says in its words. */
  readonly configuration: unknown;
  /** Where it stands in the object. */
  readonly at: FieldPath;
}

/** Something to say about a configuration. */
export interface ConfigurationProblem {
  readonly code: "PB2304" | "PB2305";
  readonly at: FieldPath;
  readonly message: string;
  readonly cure: string;
}

/** The configuration that an object gives; undefined for one that gives none. */
export function givenConfiguration(object: Readonly<Record<string, unknown>>): GivenConfiguration | undefined {
  if (object["kind"] === "KubeVirt") {
    const at = ["spec", "configuration"];
    return { configuration: valueAt(object, at), at };
  }
  if (object["kind"] !== "ConfigMap" || valueAt(object, ["metadata", "name"]) !== CONFIG_MAP) return undefined;
  const data = object["data"];
  const words = Object.entries(isJsonObject(data) ? data : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return { configuration: configurationOfConfigMap(Object.fromEntries(words)), at: ["data"] };
}

/** That one bad value voids the whole (PB2304). */
export function voidConfiguration({ configuration, at }: GivenConfiguration): ConfigurationProblem | undefined {
  const { invalid } = settingsOf(configuration);
  if (invalid === undefined) return undefined;
  return {
    code: "PB2304",
    at,
    message: `The configuration counts as empty: ${invalid}.`,
    cure: "Correct this value; all others hold then.",
  };
}

/** Gates that are written with other capitals (PB2305): KubeVirt compares letter by letter, and they stay shut. */
export function misspeltGates({ configuration, at }: GivenConfiguration): ConfigurationProblem[] {
  const keys = ["developerConfiguration", "featureGates"];
  const listed = valueAt(configuration, keys);
  return (Array.isArray(listed) ? listed : []).flatMap((word: unknown, index): ConfigurationProblem[] => {
    const meant = GATES.find((gate) => gate.toLowerCase() === String(word).toLowerCase());
    if (meant === undefined || meant === word) return [];
    return [
      {
        code: "PB2305",
        at: [...at, ...keys, index],
        message: `The feature gate "${String(word)}" opens nothing: capitals count.`,
        cure: `Write "${meant}".`,
      },
    ];
  });
}

/** A problem as one sentence for people who see no file. */
export function problemText({ code, at, message, cure }: ConfigurationProblem): string {
  return `${code}: ${fieldPath(at)}: ${message} ${cure}`;
}

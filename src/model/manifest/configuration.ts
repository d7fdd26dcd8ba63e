import { configurationOfConfigMap, settingsOf } from "../rules/settings.ts";
import { type Finding, findingAt } from "./finding.ts";
import type { ManifestDocument } from "./read.ts";

/** Name of the ConfigMap that held the configuration before KubeVirt 0.48. */
const CONFIG_MAP = "kubevirt-config";

export interface FoundConfiguration {
  /** `spec.configuration`; undefined where no document has one. */
  readonly configuration: unknown;
  readonly findings: readonly Finding[];
}

/**
 * The configuration among some documents: that of a KubeVirt resource, or what the older ConfigMap `kubevirt-config`
 * says, which wins where both are there.
 */
export function configurationAmong(documents: readonly ManifestDocument[]): FoundConfiguration {
  const configMap = documents.find(
    ({ value }) => value["kind"] === "ConfigMap" && fieldOf(value["metadata"], "name") === CONFIG_MAP,
  );
  const kubeVirt = documents.find(({ value }) => value["kind"] === "KubeVirt");
  const document = configMap ?? kubeVirt;
  if (document === undefined) return { configuration: undefined, findings: [] };
  const configuration =
    document === configMap
      ? configurationOfConfigMap(wordsOf(document.value["data"]))
      : fieldOf(document.value["spec"], "configuration");
  const { invalid } = settingsOf(configuration);
  const at = document === configMap ? ["data"] : ["spec", "configuration"];
  const finding = (reason: string): Finding =>
    findingAt(
      document,
      at,
      {
        code: "PB2304",
        severity: "warning",
        message: `The configuration counts as empty: ${reason}.`,
        hint: "Correct this value; all others hold then.",
      },
      { part: "key" },
    );
  return { configuration, findings: invalid === undefined ? [] : [finding(invalid)] };
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}

function wordsOf(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

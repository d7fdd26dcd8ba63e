import {
  givenConfiguration,
  misspeltGates,
  spoofGuardProblem,
  unknownKeys,
  voidConfiguration,
} from "../rules/configuration.ts";
import { pluginSettings } from "../rules/plugin-settings.ts";
import type { ManifestDocument } from "./document.ts";
import { type Finding, findingAt } from "./finding.ts";

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
  const giving = documents.flatMap((document) => {
    const given = givenConfiguration(document.value);
    return given === undefined ? [] : [{ document, given }];
  });
  const found = giving.find(({ document }) => document.value["kind"] === "ConfigMap") ?? giving[0];
  if (found === undefined) return { configuration: undefined, findings: [] };
  const { document, given } = found;
  const isVoid = voidConfiguration(given);
  const guard = spoofGuardProblem(given);
  const warn = (part: "key" | "value") => (problem: NonNullable<typeof isVoid>) => {
    const { code, at, message, expected, cure: hint } = problem;
    return findingAt(document, at, { code, severity: "warning", message, expected, hint }, { part });
  };
  return {
    configuration: given.configuration,
    findings: [
      ...(isVoid === undefined ? [] : [warn("value")(isVoid)]),
      ...(guard === undefined ? [] : [{ ...warn("value")(guard), severity: "error" as const }]),
      ...misspeltGates(given).map(warn("value")),
      ...pluginSettings(given).map(warn("value")),
      ...unknownKeys(given).map(warn("key")),
    ],
  };
}

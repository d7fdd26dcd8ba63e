import { valueAt } from "../api/field-path.ts";
import type { ManifestDocument } from "../manifest/document.ts";
import { type CniNetwork, type CniProblem, parseCniConfig } from "./cni-config.ts";

/** The annotation by which a definition names the device plugin's resource that its pods claim. */
export const RESOURCE_NAME = "k8s.v1.cni.cncf.io/resourceName";

/** A NetworkAttachmentDefinition with its CNI configuration read. */
export interface AttachmentDefinition {
  readonly namespace: string;
  readonly name: string;
  /** Resource of a device plugin, from the annotation `k8s.v1.cni.cncf.io/resourceName`. */
  readonly resourceName?: string;
  /** Absent where the configuration is empty (Multus then takes the file of this name) or has an error. */
  readonly network?: CniNetwork;
  /** What is wrong with the configuration; lines and columns are those of its text. */
  readonly problems: readonly CniProblem[];
  /** Where it is written. */
  readonly document: ManifestDocument;
}

/**
 * The NetworkAttachmentDefinitions among completed documents, by `namespace/name`. Never throws.
 *
 * One without a namespace is in `default`; of two with the same name the later counts, as it does when both are applied.
 * One without a name is left out.
 */
export function definitionsAmong(documents: readonly ManifestDocument[]): ReadonlyMap<string, AttachmentDefinition> {
  const definitions = documents.flatMap((document): [string, AttachmentDefinition][] => {
    const definition = definitionOf(document);
    return definition === undefined ? [] : [[`${definition.namespace}/${definition.name}`, definition]];
  });
  return new Map(definitions);
}

function definitionOf(document: ManifestDocument): AttachmentDefinition | undefined {
  const { apiVersion, kind } = document.value;
  if (kind !== "NetworkAttachmentDefinition" || apiVersion !== "k8s.cni.cncf.io/v1") return undefined;
  const name = text(document, ["metadata", "name"]);
  if (name === "") return undefined;
  const resourceName = text(document, ["metadata", "annotations", RESOURCE_NAME]);
  const config = text(document, ["spec", "config"]);
  return {
    namespace: text(document, ["metadata", "namespace"]) || "default",
    name,
    ...(resourceName === "" ? {} : { resourceName }),
    ...(config.trim() === "" ? { problems: [] } : parseCniConfig(config)),
    document,
  };
}

function text(document: ManifestDocument, at: readonly string[]): string {
  const value = valueAt(document.value, at);
  return typeof value === "string" ? value : "";
}

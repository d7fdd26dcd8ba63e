import type { CniFile } from "../manifest/cni-file.ts";
import type { ManifestDocument } from "../manifest/document.ts";
import type { Finding } from "../manifest/finding.ts";
import { addressFindings } from "./addresses.ts";
import { bindingFindings } from "./bindings.ts";
import { configurationFindings } from "./configurations.ts";
import { defaultNetworkFindings } from "./default-network.ts";
import { definitionFindings } from "./definitions.ts";
import { resourceFindings } from "./device-resources.ts";
import { genieFindings } from "./genie.ts";
import { macFindings } from "./macs.ts";
import { masterFindings } from "./masters.ts";
import { meshFindings } from "./mesh.ts";
import { mtuFindings } from "./mtus.ts";
import { pluginFieldFindings } from "./plugin-fields.ts";
import { runOf } from "./run.ts";

/** What is looked at beside the documents. */
export interface Surroundings {
  /** Files of CNI configuration folders. */
  readonly cniFiles?: readonly CniFile[];
  /** MTUs of the host's links by their names, where this is the machine that the configurations are for. */
  readonly links?: ReadonlyMap<string, number>;
  /** True where the documents hold all that there is: what is missing is nowhere. */
  readonly complete?: boolean;
}

/**
 * What several objects of one run make of each other: the way of a packet looked at whole, from the VMI through its
 * NetworkAttachmentDefinition to the CNI plugins and the links below. Never throws.
 *
 * `documents` are completed; `configuration` is `spec.configuration` of the KubeVirt resource.
 */
export function wholePathFindings(
  documents: readonly ManifestDocument[],
  configuration: unknown,
  { cniFiles = [], links, complete = false }: Surroundings = {},
): Finding[] {
  const run = runOf(documents, cniFiles, configuration);
  if (run.instances.length === 0 && run.sources.length === 0) return [];
  return [
    ...configurationFindings(run),
    ...definitionFindings(run, complete),
    ...genieFindings(run),
    ...defaultNetworkFindings(run),
    ...bindingFindings(run),
    ...resourceFindings(run),
    ...meshFindings(run),
    ...addressFindings(run),
    ...mtuFindings(run, links),
    ...(links === undefined ? [] : masterFindings(run, links)),
    ...macFindings(run),
    ...pluginFieldFindings(run),
  ];
}

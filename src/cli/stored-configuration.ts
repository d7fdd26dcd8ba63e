import type { KubeClient } from "../client/client.ts";
import { configMapResource, kubeVirtResource } from "../model/api/references.ts";
import type { KubeObject } from "../model/api/resource.ts";
import type { Stored } from "../model/api/stored.ts";
import { CONFIG_MAP, governingConfiguration } from "../model/rules/configuration.ts";

/** `spec.configuration` that a running cluster goes by. */
export async function storedConfiguration(client: KubeClient): Promise<unknown> {
  const [configMaps, kubeVirts] = await Promise.all([
    client.list<Stored<KubeObject>>(configMapResource, { fieldSelector: `metadata.name=${CONFIG_MAP}` }),
    client.list<Stored<KubeObject>>(kubeVirtResource),
  ]);
  return governingConfiguration(configMaps.items, kubeVirts.items);
}

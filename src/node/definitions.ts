import type { KubeClient } from "../client/client.ts";
import type { Definition } from "../host/cni/delegation.ts";
import type { NetworkAttachmentDefinition } from "../model/api/attachment.ts";
import { definitionResource } from "../model/api/references.ts";
import type { Stored } from "../model/api/stored.ts";
import { RESOURCE_NAME } from "../model/networks/attachment-definitions.ts";

/** The NetworkAttachmentDefinitions of the cluster, as they are now. */
export async function definitionsOf(client: KubeClient): Promise<readonly Definition[]> {
  const { items } = await client.list<Stored<NetworkAttachmentDefinition>>(definitionResource);
  return items.map(({ metadata: { namespace, name, annotations }, spec }) => {
    const resourceName = annotations?.[RESOURCE_NAME] ?? "";
    return {
      namespace,
      name,
      config: typeof spec?.config === "string" ? spec.config : "",
      ...(resourceName === "" ? {} : { resourceName }),
    };
  });
}

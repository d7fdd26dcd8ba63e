import type { KubeClient } from "../client/client.ts";
import { inform } from "../client/informer.ts";
import type { KubeVirt } from "../model/api/kubevirt.ts";
import { kubeVirtResource } from "../model/api/references.ts";
import type { Stored } from "../model/api/stored.ts";

/**
 * Follows the cluster's settings: `spec.configuration` of the oldest KubeVirt resource; `{}` where there is none.
 */
export function startConfigurationWatch(
  client: KubeClient,
  changed: (configuration: unknown) => void,
): { close(): void } {
  const closing = new AbortController();
  const tell = (): void => {
    const [oldest] = [...cache.list()].sort((a, b) => age(a).localeCompare(age(b)));
    changed(oldest?.spec?.configuration ?? {});
  };
  const cache = inform<Stored<KubeVirt>>(
    client,
    kubeVirtResource,
    {},
    { add: tell, update: tell, delete: tell },
    closing.signal,
  );
  return { close: () => closing.abort() };
}

function age(resource: Stored<KubeVirt>): string {
  return `${resource.metadata.creationTimestamp ?? ""}/${resource.metadata.uid}`;
}

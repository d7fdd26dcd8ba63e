import type { Logger } from "pino";
import type { KubeClient } from "../client/client.ts";
import { inform } from "../client/informer.ts";
import type { KubeVirt } from "../model/api/kubevirt.ts";
import { kubeVirtResource } from "../model/api/references.ts";
import type { Stored } from "../model/api/stored.ts";

/** A watch of the cluster's settings. */
export interface ConfigurationWatch {
  /** Settled once `changed` has been told what holds now. */
  readonly known: Promise<void>;
  close(): void;
}

/**
 * Follows the cluster's settings: `spec.configuration` of the oldest KubeVirt resource; `{}` where there is none.
 */
export function watchConfiguration(
  client: KubeClient,
  log: Logger,
  changed: (configuration: unknown) => void,
): ConfigurationWatch {
  const closing = new AbortController();
  const tell = (): void => {
    const [oldest] = [...cache.list()].sort((a, b) => age(a).localeCompare(age(b)));
    changed(oldest?.spec?.configuration ?? {});
  };
  const { promise: known, resolve } = Promise.withResolvers<void>();
  const cache = inform<Stored<KubeVirt>>(
    client,
    kubeVirtResource,
    {},
    {
      add: tell,
      update: tell,
      delete: tell,
      synced: resolve,
      failed: (error, waitMs) => log.warn({ error, waitMs }, "the settings cannot be watched"),
    },
    closing.signal,
  );
  return { known, close: () => closing.abort() };
}

function age(resource: Stored<KubeVirt>): string {
  return `${resource.metadata.creationTimestamp ?? ""}/${resource.metadata.uid}`;
}

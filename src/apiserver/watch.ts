import type { ServerResponse } from "node:http";
import type { ResourceDefinition } from "../model/api/resource.ts";
import type { Catalog } from "./catalog.ts";
import { expired } from "./refusals.ts";
import type { Store } from "./store.ts";
import { makeLineCache } from "./watch-events.ts";
import { makeWatcher, type Watcher, type WatchOptions } from "./watcher.ts";

/** Fans commits out to the watches of one server. */
export interface WatchHub {
  /**
   * Streams changes as lines of JSON until the client goes, the time is over or the server closes.
   *
   * @throws ApiError 410 where the history does not reach back so far.
   */
  serve(definition: ResourceDefinition, options: WatchOptions, response: ServerResponse): void;
  readonly watchers: number;
  /** Ends the watches of what the catalog no longer serves, or serves otherwise. */
  endUnserved(): void;
  close(): void;
}

export function makeWatchHub(catalog: Catalog, store: Store): WatchHub {
  const byTopic = new Map<string, Set<Watcher>>();
  const all = new Set<Watcher>();
  const unsubscribe = store.subscribe((changes) => {
    for (const [topic, group] of Map.groupBy(changes, topicOf)) {
      for (const watcher of byTopic.get(topic) ?? []) watcher.hear(group);
    }
  });
  const lines = makeLineCache();

  return {
    get watchers() {
      return all.size;
    },
    serve(definition, options, response) {
      if (options.from !== undefined && options.from > 0 && options.from < store.compacted()) {
        throw expired(`too old resource version: ${options.from} (${store.compacted()})`);
      }
      const topic = topicOf(definition);
      const watcher = makeWatcher({ store, lines, definition, options, response }, () => {
        all.delete(watcher);
        byTopic.get(topic)?.delete(watcher);
      });
      all.add(watcher);
      const peers = byTopic.get(topic) ?? new Set();
      byTopic.set(topic, peers.add(watcher));
      watcher.start();
    },
    endUnserved() {
      for (const watcher of [...all]) {
        const { group, version, plural } = watcher.definition;
        if (catalog.find(group, version, plural) !== watcher.definition) watcher.end();
      }
    },
    close() {
      unsubscribe();
      for (const watcher of [...all]) watcher.end();
    },
  };
}

function topicOf({ group, plural }: { group: string; plural: string }): string {
  return `${group}/${plural}`;
}

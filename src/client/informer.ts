import { setTimeout as sleep } from "node:timers/promises";
import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { makeBackoff } from "./backoff.ts";
import type { KubeClient, ListQuery, ResourceRef } from "./client.ts";

/** What an informer tells. Handlers are called in order, one at a time, and must not throw. */
export interface Handlers<T> {
  add?(object: T): void;
  /** Also after a relist, where anything but the resourceVersion may be as it was. */
  update?(object: T, before: T): void;
  delete?(object: T): void;
  /** Once, when the cache holds what was there at the start. */
  synced?(): void;
  /** The list or the watch failed; it is tried again. */
  failed?(error: unknown, waitMs: number): void;
}

/** What an informer has heard so far. */
export interface Cache<T> {
  /** `namespace` is left out for cluster-scoped resources. */
  get(name: string, namespace?: string): T | undefined;
  list(): readonly T[];
  readonly synced: boolean;
}

const FIRST_WAIT_MS = 100;
const LAST_WAIT_MS = 10_000;
/** A watch is renewed so often, so that a connection that died silently is noticed. */
const WATCH_SECONDS = 300;

/**
 * Keeps a cache of a resource's objects true by list and watch, until the signal.
 *
 * A watch that ends is resumed from where it was; after 410 or an error the list is read again, with waits that grow
 * from 0.1 s to 10 s. What the difference of two lists shows is told as events. `reduce` gives what is kept of each
 * object, its metadata's name, namespace, uid and resourceVersion in it; absent: the whole.
 */
export function inform<T extends KubeObject>(
  client: KubeClient,
  resource: ResourceRef,
  query: ListQuery,
  handlers: Handlers<T>,
  signal: AbortSignal,
  reduce: (object: T) => T = asItIs,
): Cache<T> {
  const objects = new Map<string, T>();
  const backoff = makeBackoff(FIRST_WAIT_MS, LAST_WAIT_MS);
  let synced = false;

  function store(whole: T): void {
    const object = reduce(whole);
    const key = keyOf(object.metadata.name, object.metadata.namespace);
    const before = objects.get(key);
    objects.set(key, object);
    if (before === undefined) handlers.add?.(object);
    else if (before.metadata.uid !== object.metadata.uid) {
      handlers.delete?.(before);
      handlers.add?.(object);
    } else if (before.metadata.resourceVersion !== object.metadata.resourceVersion) handlers.update?.(object, before);
  }

  function forget(object: T): void {
    if (objects.delete(keyOf(object.metadata.name, object.metadata.namespace))) handlers.delete?.(object);
  }

  async function relist(): Promise<string> {
    const { items, resourceVersion } = await client.list<T>(resource, query);
    if (signal.aborted) return resourceVersion;
    const present = new Set(items.map(({ metadata }) => keyOf(metadata.name, metadata.namespace)));
    for (const [key, object] of [...objects]) if (!present.has(key)) forget(object);
    for (const object of items) store(object);
    if (!synced) {
      synced = true;
      handlers.synced?.();
    }
    return resourceVersion;
  }

  /** Follows changes until the server ends the watch; says from where to go on. */
  async function follow(from: string): Promise<string> {
    let resourceVersion = from;
    const watch = client.watch<T>(resource, { ...query, resourceVersion, timeoutSeconds: WATCH_SECONDS, signal });
    for await (const { type, object } of watch) {
      if (signal.aborted) break;
      backoff.reset();
      resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
      if (type === "DELETED") forget(object);
      else if (type !== "BOOKMARK") store(object);
    }
    return resourceVersion;
  }

  async function run(): Promise<void> {
    let resourceVersion: string | undefined;
    while (!signal.aborted) {
      try {
        resourceVersion ??= await relist();
        if (signal.aborted) return;
        const started = performance.now();
        resourceVersion = await follow(resourceVersion);
        // A server that ends every watch at once is not asked again without a pause.
        if (performance.now() - started < FIRST_WAIT_MS) await pause(backoff.next());
        else backoff.reset();
      } catch (thrown) {
        if (signal.aborted) return;
        resourceVersion = undefined;
        const wait = backoff.next();
        // History that is gone is no failure; the list is read again.
        if (!isApiError(thrown, "Expired") && !isApiError(thrown, "Gone")) handlers.failed?.(thrown, wait);
        await pause(wait);
      }
    }
  }

  async function pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }

  void run();
  return {
    get: (name, namespace) => objects.get(keyOf(name, namespace)),
    list: () => [...objects.values()],
    get synced() {
      return synced;
    },
  };
}

function asItIs<T>(object: T): T {
  return object;
}

function keyOf(name: string, namespace: string | undefined): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

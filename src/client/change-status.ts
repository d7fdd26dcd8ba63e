import type { KubeObject } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import type { KubeClient, ResourceRef } from "./client.ts";

/** Writers of one status are few; this many lost races in a row mean that something is wrong. */
const TRIES = 8;

/**
 * Writes `change(status)` where it differs from what is there; after a lost race on what is there by then.
 *
 * Gives the object as stored, or undefined where it is gone. `change` gives the very same object to say "nothing to do".
 */
export async function changeStatus<S extends object, T extends KubeObject & { readonly status?: S | undefined }>(
  client: KubeClient,
  resource: ResourceRef,
  object: T,
  change: (status: Partial<S>, now: string) => Partial<S>,
): Promise<T | undefined> {
  let current = object;
  for (let left = TRIES; ; left -= 1) {
    const status = current.status ?? {};
    const changed = change(status, now());
    if (changed === status) return current;
    try {
      return await client.updateStatus<T>(resource, { ...current, status: changed });
    } catch (thrown) {
      if (isApiError(thrown, "NotFound")) return undefined;
      if (!isApiError(thrown, "Conflict") || left === 0) throw thrown;
    }
    try {
      current = await client.get<T>(resource, current.metadata);
    } catch (thrown) {
      if (isApiError(thrown, "NotFound")) return undefined;
      throw thrown;
    }
    if (current.metadata.uid !== object.metadata.uid) return undefined;
  }
}

/** The present as Kubernetes writes it: whole seconds, UTC. */
export function now(): string {
  return timestampOf(Date.now());
}

import type { ObjectMeta } from "./resource.ts";

/** Metadata as an API server gives it back: what a client may leave out is there. */
export interface StoredMeta extends ObjectMeta {
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** A namespaced object that an API server has stored. */
export type Stored<T> = Omit<T, "metadata" | "apiVersion" | "kind"> & {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: StoredMeta;
};

/** `namespace/name`, as caches and queues key objects. */
export function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  return object.metadata.namespace === undefined
    ? object.metadata.name
    : `${object.metadata.namespace}/${object.metadata.name}`;
}

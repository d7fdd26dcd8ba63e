import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { crdKey } from "./crd-admission.ts";
import type { Machinery } from "./machinery.ts";
import { isNamespaceResource } from "./namespaces.ts";
import { ownerUids, withMetadata } from "./object-meta.ts";
import { noSuchResource } from "./refusals.ts";
import { storedBody } from "./serving.ts";
import type { ObjectKey, StoredObject, Transaction } from "./store.ts";

/** True when the deletion of the object waits for nothing. */
export function isDone(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).length === 0;
}

/** True for a namespace in which something lies: it goes after that. */
export function holdsContent(definition: ResourceDefinition, transaction: Transaction, name: string): boolean {
  return isNamespaceResource(definition) && transaction.inhabited(name);
}

/**
 * Stores the object under a new resourceVersion.
 *
 * @throws ApiError 404 where the kind went while the write was under way.
 */
export function put(
  { catalog }: Machinery,
  definition: ResourceDefinition,
  transaction: Transaction,
  key: ObjectKey,
  object: KubeObject,
): StoredObject {
  const uid = object.metadata.uid;
  if (uid === undefined) throw new Error("an object without uid cannot be stored");
  const { definedBy } = definition;
  if (definedBy !== undefined && transaction.get(crdKey(definedBy)) === undefined) throw noSuchResource();
  return transaction.put(key, uid, ownerUids(object), (revision) =>
    storedBody(catalog, definition, withMetadata(object, { resourceVersion: String(revision) })),
  );
}

/** Takes the object out of the store; watches see it once more, under a new resourceVersion. */
export function remove(
  { catalog }: Machinery,
  definition: ResourceDefinition,
  transaction: Transaction,
  key: ObjectKey,
  object: KubeObject,
): StoredObject {
  return transaction.remove(key, (revision) =>
    storedBody(catalog, definition, withMetadata(object, { resourceVersion: String(revision) })),
  );
}

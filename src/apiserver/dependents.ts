import type { KubeObject, OwnerReference } from "../model/api/resource.ts";
import { FOREGROUND } from "./deletes.ts";
import { asKubeObject } from "./object-meta.ts";
import { parseStored } from "./serving.ts";
import type { Change, Store, StoredObject } from "./store.ts";

/** True for an object whose own deletion waits for its dependents. */
export function isInForeground({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined && metadata.finalizers?.includes(FOREGROUND) === true;
}

/** What names an object as its owner, as far as that can be one: one of a namespace owns nothing outside of it. */
export function dependentsOf(store: Store, owner: StoredObject): readonly StoredObject[] {
  const { uid, namespace } = owner;
  return store.dependents(uid).filter((dependent) => namespace === "" || dependent.namespace === namespace);
}

/**
 * True where a dependent holds up the foreground deletion of its owner: one that says so in its reference, and does not
 * wait for the owner itself, over however many objects between, for then neither would ever go.
 */
export function isHeldUp(store: Store, owner: StoredObject): boolean {
  return blockersOf(store, owner).some((dependent) => !waitsFor(store, dependent, owner.uid));
}

function waitsFor(store: Store, waiting: StoredObject, uid: string): boolean {
  const seen = new Set<string>();
  const left = [waiting];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (next.uid === uid) return true;
    if (seen.has(next.uid)) continue;
    seen.add(next.uid);
    if (isInForeground(asKubeObject(parseStored(next.body)))) left.push(...blockersOf(store, next));
  }
  return false;
}

function blockersOf(store: Store, owner: StoredObject): readonly StoredObject[] {
  return dependentsOf(store, owner).filter(({ body }) => ownersOf(body).some((each) => blocks(each, owner.uid)));
}

/** UIDs of the owners that a change let go: it took their references away, or these no longer hold them up. */
export function ownersLetGo({ type, body, previous }: Change): readonly string[] {
  if (type !== "MODIFIED" || previous?.includes('"ownerReferences"') !== true) return [];
  const left = ownersOf(body);
  return ownersOf(previous)
    .filter(({ blockOwnerDeletion }) => blockOwnerDeletion === true)
    .map(({ uid }) => uid)
    .filter((uid) => !left.some((owner) => blocks(owner, uid)));
}

function blocks(owner: OwnerReference, uid: string): boolean {
  return owner.uid === uid && owner.blockOwnerDeletion === true;
}

function ownersOf(body: string): readonly OwnerReference[] {
  return asKubeObject(parseStored(body)).metadata.ownerReferences ?? [];
}

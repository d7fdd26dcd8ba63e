import type { KubeObject, OwnerReference, ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import { deleteObject, FOREGROUND, ORPHAN, type PropagationPolicy, removeEmptyNamespace } from "./deletes.ts";
import { dependentsOf, isHeldUp, isInForeground, ownersLetGo } from "./dependents.ts";
import type { Machinery, WriteOptions } from "./machinery.ts";
import { isNamespaceResource, namespaceKey, withRemaining } from "./namespaces.ts";
import { asKubeObject, withMetadata } from "./object-meta.ts";
import { everyStored } from "./reads.ts";
import { keyFor, parseStored, servedObject } from "./serving.ts";
import type { Change, StoredObject } from "./store.ts";
import { changeObject } from "./writes.ts";

/** Deletes in the background what deletions and time leave over. */
export interface Collector {
  close(): Promise<void>;
}

const USER = "system:serviceaccount:kube-system:generic-garbage-collector";
const OPTIONS: WriteOptions = {
  user: USER,
  manager: "generic-garbage-collector",
  dryRun: false,
  fieldValidation: "Ignore",
};
const EVENT_MS = 3_600_000;
const EXPIRY_EVERY_MS = 60_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 30_000;

/**
 * Starts the collector: dependents go with their last owner (or before it, on foreground deletion; or stay, on orphan
 * deletion), the content of a namespace goes before the namespace, events go after an hour.
 *
 * It works off the changes of the store, and at start looks at all that a former daemon left undone.
 */
export function startCollector(machinery: Machinery): Collector {
  const { catalog, store, log } = machinery;
  /** What is to be looked at, by UID, with the number of failures so far. */
  const queue = new Map<string, number>();
  /** Owners that were seen to go: their dependents are theirs even where the kind went with them. */
  const ended = new Set<string>();
  const retries = new Set<NodeJS.Timeout>();
  let closed = false;
  let running: Promise<void> | undefined;

  function look(uid: string, failures = 0): void {
    if (closed) return;
    queue.set(uid, failures);
    start();
  }

  function start(): void {
    running ??= drain().finally(() => {
      running = undefined;
      // What came after the last look at the queue.
      if (queue.size > 0 && !closed) start();
    });
  }

  async function drain(): Promise<void> {
    for (;;) {
      const [next] = queue;
      if (next === undefined || closed) return;
      const [uid, failures] = next;
      queue.delete(uid);
      try {
        await settle(uid);
      } catch (thrown) {
        retryLater(uid, failures, thrown);
      }
    }
  }

  function retryLater(uid: string, failures: number, thrown: unknown): void {
    const wait = Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS);
    log.warn({ err: thrown, uid, wait }, "an object could not be collected; it is tried again");
    const timer = setTimeout(() => {
      retries.delete(timer);
      look(uid, failures + 1);
    }, wait);
    retries.add(timer);
  }

  /** Does what the object's state asks for now; called again after each change of it. */
  async function settle(uid: string): Promise<void> {
    const stored = store.getByUid(uid);
    if (stored === undefined) {
      for (const dependent of store.dependents(uid)) await settleOwners(dependent);
      ended.delete(uid);
      return;
    }
    const definition = catalog.stored(stored.group, stored.plural);
    if (definition === undefined) return;
    const object = asKubeObject(servedObject(definition, stored.body));
    if (object.metadata.deletionTimestamp === undefined) {
      await settleOwners(stored);
      return;
    }
    const finalizers = object.metadata.finalizers ?? [];
    if (finalizers.includes(ORPHAN)) await orphan(definition, object, uid);
    else if (finalizers.includes(FOREGROUND)) await deleteDependentsFirst(definition, object, stored);
    else if (isNamespaceResource(definition)) await emptyNamespace(definition, stored.name);
  }

  /** Deletes an object whose owners are all gone; forgets those that are, where others are left. */
  async function settleOwners(stored: StoredObject): Promise<void> {
    const definition = catalog.stored(stored.group, stored.plural);
    if (definition === undefined) return;
    const object = asKubeObject(servedObject(definition, stored.body));
    const owners = object.metadata.ownerReferences ?? [];
    const gone = owners.filter((owner) => isGone(owner, stored.namespace));
    if (gone.length === 0) return;
    if (gone.length === owners.length) await erase(definition, stored);
    else await dropOwners(definition, stored, new Set(gone.map((owner) => owner.uid)));
  }

  /**
   * An owner is there under the name and UID of the reference, in the dependent's namespace or in none. One of a kind that
   * is not served here is not judged, nor one of a namespace whose dependent is in none.
   */
  function isGone(owner: OwnerReference, namespace: string): boolean {
    const kind = catalog.byKind(owner.apiVersion, owner.kind);
    if (kind === undefined) return ended.has(owner.uid) && store.getByUid(owner.uid) === undefined;
    if (kind.namespaced && namespace === "") return false;
    return store.get(keyFor(kind, namespace, owner.name))?.uid !== owner.uid;
  }

  async function orphan(definition: ResourceDefinition, object: KubeObject, uid: string): Promise<void> {
    for (const dependent of store.dependents(uid)) {
      const kind = catalog.stored(dependent.group, dependent.plural);
      if (kind !== undefined) await dropOwners(kind, dependent, new Set([uid]));
    }
    await dropFinalizer(definition, object, ORPHAN);
  }

  /** Its dependents go before it, and theirs before them; one that another owner keeps stays without the reference. */
  async function deleteDependentsFirst(
    definition: ResourceDefinition,
    object: KubeObject,
    stored: StoredObject,
  ): Promise<void> {
    for (const dependent of dependentsOf(store, stored)) {
      const kind = catalog.stored(dependent.group, dependent.plural);
      const { ownerReferences: owners = [], deletionTimestamp } = asKubeObject(parseStored(dependent.body)).metadata;
      if (kind === undefined || deletionTimestamp !== undefined) continue;
      const leaving = owners.filter((owner) => owner.uid === stored.uid || isLeaving(owner, dependent.namespace));
      if (leaving.length === owners.length) await erase(kind, dependent, "Foreground");
      else await dropOwners(kind, dependent, new Set(leaving.map((owner) => owner.uid)));
    }
    if (!isHeldUp(store, stored)) await dropFinalizer(definition, object, FOREGROUND);
  }

  /** An owner that keeps nothing: it is gone, or waits for its dependents itself. */
  function isLeaving(owner: OwnerReference, namespace: string): boolean {
    const stored = store.getByUid(owner.uid);
    const waits = stored !== undefined && isInForeground(asKubeObject(parseStored(stored.body)));
    return waits || isGone(owner, namespace);
  }

  async function emptyNamespace(definition: ResourceDefinition, name: string): Promise<void> {
    for (const stored of store.inNamespace(name)) {
      const kind = catalog.stored(stored.group, stored.plural);
      if (kind !== undefined) await erase(kind, stored);
      // Nobody can ask for an object of a kind that is no longer served, nor delete it.
      else await store.transact((transaction) => transaction.remove(stored, () => stored.body));
    }
    await removeEmptyNamespace(machinery, definition, name);
    const content = store.inNamespace(name);
    if (content.length === 0) return;
    const at = timestampOf(machinery.now());
    const from = (current: KubeObject) => withRemaining(current, content, at);
    const wanted = { from, pinned: false, subresource: "status" } as const;
    await unlessGone(changeObject(machinery, definition, "", name, wanted, OPTIONS));
  }

  async function erase(
    definition: ResourceDefinition,
    stored: StoredObject,
    propagationPolicy?: PropagationPolicy,
  ): Promise<void> {
    await unlessGone(
      deleteObject(machinery, definition, stored.namespace, stored.name, {
        user: USER,
        dryRun: false,
        ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
        preconditions: { uid: stored.uid },
      }),
    );
    const { group, plural, namespace, name } = stored;
    log.debug({ group, plural, namespace, name }, "collected");
  }

  async function dropOwners(
    definition: ResourceDefinition,
    stored: StoredObject,
    gone: ReadonlySet<string>,
  ): Promise<void> {
    const from = (current: KubeObject) => {
      const left = (current.metadata.ownerReferences ?? []).filter((owner) => !gone.has(owner.uid));
      return withMetadata(current, { ownerReferences: left.length === 0 ? undefined : left });
    };
    const wanted = { from, pinned: false };
    await unlessGone(changeObject(machinery, definition, stored.namespace, stored.name, wanted, OPTIONS));
  }

  async function dropFinalizer(definition: ResourceDefinition, object: KubeObject, finalizer: string): Promise<void> {
    const { name, namespace = "" } = object.metadata;
    const from = (current: KubeObject) => {
      const left = (current.metadata.finalizers ?? []).filter((each) => each !== finalizer);
      return withMetadata(current, { finalizers: left.length === 0 ? undefined : left });
    };
    await unlessGone(changeObject(machinery, definition, namespace, name, { from, pinned: false }, OPTIONS));
  }

  function hear(changes: readonly Change[]): void {
    for (const change of changes) {
      for (const owner of ownersLetGo(change)) look(owner);
      // Most objects belong to none and stay: nothing is to be done for them, and they need not be read.
      if (change.type !== "DELETED" && !CONCERNED.some((field) => change.body.includes(field))) continue;
      const object = asKubeObject(parseStored(change.body));
      const { uid, ownerReferences = [], deletionTimestamp, finalizers = [] } = object.metadata;
      if (uid === undefined) continue;
      if (change.type === "DELETED") {
        ended.add(uid);
        look(uid);
        for (const owner of ownerReferences) look(owner.uid);
        const namespace = change.namespace === "" ? undefined : store.get(namespaceKey(change.namespace));
        if (namespace?.body.includes('"deletionTimestamp"') === true) look(namespace.uid);
      } else if (
        ownerReferences.length > 0 ||
        (deletionTimestamp !== undefined && (finalizers.length > 0 || change.group === ""))
      ) {
        look(uid);
      }
    }
  }

  function catchUp(): void {
    for (const { uid } of store.dependents(undefined)) look(uid);
    for (const definition of catalog.definitions) {
      for (const { uid, body } of everyStored(store, definition.group, definition.plural))
        if (body.includes('"deletionTimestamp"')) look(uid);
    }
  }

  async function expireEvents(): Promise<void> {
    const before = machinery.now() - EVENT_MS;
    for (const definition of catalog.definitions.filter(isEvents)) {
      for (const stored of everyStored(store, definition.group, definition.plural)) {
        if (lastSeen(asKubeObject(parseStored(stored.body))) < before) await erase(definition, stored);
      }
    }
  }

  const unsubscribe = store.subscribe(hear);
  let expiry: Promise<void> = Promise.resolve();
  const expire = () => {
    expiry = expireEvents().catch((thrown: unknown) => log.warn({ err: thrown }, "old events could not be removed"));
  };
  const clock = setInterval(expire, EXPIRY_EVERY_MS);
  clock.unref();
  expire();
  catchUp();

  return {
    async close() {
      closed = true;
      unsubscribe();
      clearInterval(clock);
      for (const timer of retries) clearTimeout(timer);
      await running;
      await expiry;
    },
  };
}

/** What the text of an object has in it that may be the collector's. */
const CONCERNED = ['"ownerReferences"', '"deletionTimestamp"'];

/** Kubernetes' own events; a user's kind of that name is none. */
function isEvents({ group, plural }: ResourceDefinition): boolean {
  return plural === "events" && (group === "" || group === "events.k8s.io");
}

/** When an event was seen last, in ms. */
function lastSeen(event: KubeObject): number {
  const times = [event.metadata.creationTimestamp, event["lastTimestamp"], event["eventTime"]];
  return Math.max(...times.map((time) => (typeof time === "string" ? Date.parse(time) || 0 : 0)));
}

async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (thrown) {
    if (!isApiError(thrown, "NotFound") && !isApiError(thrown, "Conflict")) throw thrown;
  }
}

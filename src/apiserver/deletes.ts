import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import { admit } from "./admit.ts";
import { sameJson } from "./json.ts";
import { holdsContent, isDone, put, remove } from "./keeping.ts";
import type { Machinery, WriteOptions } from "./machinery.ts";
import { isNamespaceResource, PERMANENT_NAMESPACES, withPhase } from "./namespaces.ts";
import { asKubeObject, withMetadata } from "./object-meta.ts";
import { conflict, forbidden, notFound } from "./refusals.ts";
import { keyFor, servedBody, servedObject } from "./serving.ts";
import type { Transaction } from "./store.ts";

export type PropagationPolicy = "Background" | "Foreground" | "Orphan";

export interface DeleteOptions extends Pick<WriteOptions, "user" | "dryRun"> {
  /** Absent: as the object's own finalizers say, else in the background. */
  readonly propagationPolicy?: PropagationPolicy;
  readonly preconditions: { readonly uid?: string; readonly resourceVersion?: string };
  /** For the kinds whose objects have time to end; absent: as the object itself says. */
  readonly gracePeriodSeconds?: number;
}

/** The answer to a deletion: the object as it was last, and whether it is gone or waits for finalizers. */
export interface Deleted {
  readonly body: string;
  readonly uid: string;
  readonly gone: boolean;
  readonly warnings: readonly string[];
}

/** Finalizers of deletions that the garbage collector carries on. */
export const FOREGROUND = "foregroundDeletion";
export const ORPHAN = "orphan";

/** DELETE of one object. */
export async function deleteObject(
  machinery: Machinery,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
  options: DeleteOptions,
): Promise<Deleted> {
  const { store } = machinery;
  const key = keyFor(definition, namespace, name);
  const stored = store.get(key);
  if (stored === undefined) throw notFound(definition, name);
  const judged = asKubeObject(servedObject(definition, stored.body));
  requirePreconditions(definition, judged, options);
  if (isNamespaceResource(definition) && PERMANENT_NAMESPACES.includes(name)) {
    throw forbidden(definition, name, "this namespace may not be deleted");
  }
  const admitted = await admit(machinery, definition, options, {
    operation: "DELETE",
    object: judged,
    oldObject: judged,
  });
  const { warnings } = admitted;
  const answer = (body: string, gone: boolean): Deleted => ({
    body: servedBody(definition, body),
    uid: stored.uid,
    gone,
    warnings,
  });
  return await store.transact((transaction) => {
    const there = transaction.get(key);
    if (there === undefined || there.uid !== stored.uid) throw notFound(definition, name);
    const current = asKubeObject(servedObject(definition, there.body));
    requirePreconditions(definition, current, options);
    const marked = markDeleted(machinery, definition, transaction, current, options);
    const gone = isDone(marked) && !holdsContent(definition, transaction, name);
    if (options.dryRun) return answer(JSON.stringify(marked), gone);
    if (gone) {
      return answer(remove(machinery, definition, transaction, key, marked).body, true);
    }
    if (sameJson(marked, current)) return answer(there.body, false);
    return answer(put(machinery, definition, transaction, key, marked).body, false);
  });
}

function markDeleted(
  machinery: Machinery,
  definition: ResourceDefinition,
  transaction: Transaction,
  current: KubeObject,
  { propagationPolicy: policy, gracePeriodSeconds: asked }: DeleteOptions,
): KubeObject {
  const { uid, deletionTimestamp, generation } = current.metadata;
  const grace = definition.grace?.(current, asked) ?? 0;
  const finalizers = finalizersFor(current, policy, uid !== undefined && transaction.owns(uid));
  const wanted = { finalizers: finalizers.length === 0 ? undefined : finalizers };
  if (deletionTimestamp !== undefined) {
    // A later deletion may say anew what becomes of the dependents.
    return withMetadata(asked === undefined ? current : withLessTime(current, grace), wanted);
  }
  const marked = withMetadata(current, {
    deletionTimestamp: timestampOf(machinery.now() + grace * 1_000),
    deletionGracePeriodSeconds: grace,
    ...(generation === undefined ? {} : { generation: generation + 1 }),
    ...wanted,
  });
  return isNamespaceResource(definition) ? withPhase(marked, "Terminating") : marked;
}

/** The finalizers of an object that is to be deleted: that of the policy too, as long as it owns something. */
function finalizersFor(
  { metadata }: KubeObject,
  policy: PropagationPolicy | undefined,
  owns: boolean,
): readonly string[] {
  const held = metadata.finalizers ?? [];
  const others = held.filter((each) => each !== FOREGROUND && each !== ORPHAN);
  const own = held.includes(ORPHAN) ? ORPHAN : held.includes(FOREGROUND) ? FOREGROUND : undefined;
  const said = { Background: undefined, Foreground: FOREGROUND, Orphan: ORPHAN } as const;
  const wanted = policy === undefined ? own : said[policy];
  if (wanted === undefined || !owns) return others;
  // In its place, so that nothing is written where nothing changes.
  return wanted === own ? held.filter((each) => each === wanted || others.includes(each)) : [...others, wanted];
}

/** A later deletion may cut the time that an object has, counted from the first one, and never extends it. */
function withLessTime(current: KubeObject, grace: number): KubeObject {
  const { deletionTimestamp = "", deletionGracePeriodSeconds: before = 0 } = current.metadata;
  if (grace >= before) return current;
  return withMetadata(current, {
    deletionTimestamp: timestampOf(Date.parse(deletionTimestamp) - (before - grace) * 1_000),
    deletionGracePeriodSeconds: grace,
  });
}

/** Removes a namespace that was marked, when nothing lies in it any more. */
export async function removeEmptyNamespace(machinery: Machinery, definition: ResourceDefinition, name: string) {
  await machinery.store.transact((transaction) => {
    const key = keyFor(definition, "", name);
    const there = transaction.get(key);
    if (there === undefined || transaction.inhabited(name)) return;
    const object = asKubeObject(servedObject(definition, there.body));
    if (isDone(object)) remove(machinery, definition, transaction, key, object);
  });
}

function requirePreconditions(definition: ResourceDefinition, object: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions;
  const differs = (what: string, asked: string, found: string | undefined) =>
    conflict(
      definition,
      object.metadata.name,
      `the ${what} in the precondition (${asked}) does not match the ${what} in record (${found}). The object might have been deleted and then recreated`,
    );
  if (uid !== undefined && uid !== object.metadata.uid) throw differs("UID", uid, object.metadata.uid);
  if (resourceVersion !== undefined && resourceVersion !== object.metadata.resourceVersion) {
    throw differs("ResourceVersion", resourceVersion, object.metadata.resourceVersion);
  }
}

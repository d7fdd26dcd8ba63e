import { randomUUID } from "node:crypto";
import type { AdmissionRequest } from "../model/api/admission.ts";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { ApiError, failure } from "../model/api/status.ts";
import { apiVersionOf } from "./catalog.ts";
import { validateFields } from "./field-validation.ts";
import { sameJson, withFields } from "./json.ts";
import type { Machinery, WriteOptions, Written } from "./machinery.ts";
import {
  asNewNamespace,
  isNamespaceResource,
  PERMANENT_NAMESPACES,
  requireNamespace,
  withPhase,
} from "./namespaces.ts";
import { asKubeObject, ownerUids, readObject, withMetadata } from "./object-meta.ts";
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  invalid,
  notFound,
  qualifiedPlural,
  staleWrite,
  tooManyCollisions,
} from "./refusals.ts";
import { keyFor, servedBody, servedObject, storedBody } from "./serving.ts";
import type { ObjectKey, StoredObject, Transaction } from "./store.ts";

/** How often a write without a resourceVersion is tried again after others came in between. */
const ATTEMPTS = 16;

/** RFC 3339 in whole seconds, as the API's timestamps are. */
export function timestamp(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/** POST: stores a new object. */
export async function createObject(
  machinery: Machinery,
  definition: ResourceDefinition,
  namespace: string,
  body: unknown,
  options: WriteOptions,
): Promise<Written> {
  const { catalog, store } = machinery;
  const given = readObject(definition, body, namespace, undefined);
  if (given.metadata.resourceVersion !== undefined) {
    throw badRequest("resourceVersion should not be set on objects to be created");
  }
  const name = given.metadata.name;
  requireNamespace(catalog, store.get, definition, namespace, name);
  const born = {
    uid: randomUUID(),
    creationTimestamp: timestamp(machinery.now()),
    generation: 1,
    deletionTimestamp: undefined,
    deletionGracePeriodSeconds: undefined,
  };
  const fresh = withMetadata(withoutStatus(definition, given), born);
  const judged = validateFields(definition, fresh, options.fieldValidation);
  const admitted = await admit(machinery, definition, options, { operation: "CREATE", object: fresh });
  const settled = withMetadata(admitted.object, { ...born, name, namespace: fresh.metadata.namespace });
  const object = isNamespaceResource(definition) ? asNewNamespace(settled) : settled;
  const warnings = [...judged, ...admitted.warnings];
  const key = keyFor(definition, namespace, name);
  if (options.dryRun) {
    if (store.get(key) !== undefined) throw alreadyExists(definition, name);
    return { body: JSON.stringify(object), warnings, created: true };
  }
  const stored = await store.transact((transaction) => {
    requireNamespace(catalog, transaction.get, definition, namespace, name);
    if (transaction.get(key) !== undefined) throw alreadyExists(definition, name);
    return put(machinery, definition, transaction, key, object);
  });
  return { body: servedBody(catalog, definition, stored.body), warnings, created: true };
}

/** What a write makes of the object that is there. */
export interface Wanted {
  /** The whole object as wanted; called again with newer ones while others write. */
  readonly from: (current: KubeObject) => unknown;
  /** True where `from` names the resourceVersion that it was made for. */
  readonly pinned: boolean;
  readonly subresource?: "status";
}

/** PUT and PATCH: changes an object, or its status only. */
export async function changeObject(
  machinery: Machinery,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
  wanted: Wanted,
  options: WriteOptions,
): Promise<Written> {
  const { catalog, store } = machinery;
  const key = keyFor(definition, namespace, name);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const stored = store.get(key);
    if (stored === undefined) throw notFound(definition, name);
    const current = asKubeObject(servedObject(catalog, definition, stored.body));
    const given = readObject(definition, wanted.from(current), namespace, name);
    requireSame(definition, current, given);
    const prepared = prepare(definition, current, given, wanted.subresource);
    const judged = validateFields(definition, prepared, options.fieldValidation);
    const admitted =
      wanted.subresource === undefined
        ? await admit(machinery, definition, options, { operation: "UPDATE", object: prepared, oldObject: current })
        : { object: prepared, warnings: [] };
    const settled = prepare(definition, current, admitted.object, wanted.subresource);
    const warnings = [...judged, ...admitted.warnings];
    if (sameJson(settled, current)) {
      return { body: JSON.stringify(current), warnings, created: false };
    }
    const object = withMetadata(settled, {
      generation: (current.metadata.generation ?? 1) + (asksAnew(definition, current, settled) ? 1 : 0),
    });
    if (options.dryRun) return { body: JSON.stringify(object), warnings, created: false };
    const written = await store.transact((transaction) => {
      const there = transaction.get(key);
      if (there === undefined) throw notFound(definition, name);
      if (there.revision !== stored.revision) return undefined;
      return isDone(object)
        ? remove(machinery, definition, transaction, key, object)
        : put(machinery, definition, transaction, key, object);
    });
    if (written !== undefined) {
      return { body: servedBody(catalog, definition, written.body), warnings, created: false };
    }
    if (wanted.pinned) throw staleWrite(definition, name);
  }
  throw tooManyCollisions(definition, name);
}

export type PropagationPolicy = "Background" | "Foreground" | "Orphan";

export interface DeleteOptions extends Pick<WriteOptions, "user" | "dryRun"> {
  readonly propagationPolicy: PropagationPolicy;
  readonly preconditions: { readonly uid?: string; readonly resourceVersion?: string };
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
  const { catalog, store } = machinery;
  const key = keyFor(definition, namespace, name);
  const stored = store.get(key);
  if (stored === undefined) throw notFound(definition, name);
  const judged = asKubeObject(servedObject(catalog, definition, stored.body));
  requirePreconditions(definition, judged, options);
  if (isNamespaceResource(definition) && PERMANENT_NAMESPACES.includes(name)) {
    throw forbidden(definition, name, "this namespace may not be deleted");
  }
  const admitted = await admit(
    machinery,
    definition,
    { ...options, fieldValidation: "Ignore" },
    {
      operation: "DELETE",
      object: judged,
      oldObject: judged,
    },
  );
  const { warnings } = admitted;
  const answer = (body: string, gone: boolean): Deleted => ({
    body: servedBody(catalog, definition, body),
    uid: stored.uid,
    gone,
    warnings,
  });
  if (options.dryRun) return answer(stored.body, true);
  return await store.transact((transaction) => {
    const there = transaction.get(key);
    if (there === undefined || there.uid !== stored.uid) throw notFound(definition, name);
    const current = asKubeObject(servedObject(catalog, definition, there.body));
    requirePreconditions(definition, current, options);
    const marked = markDeleted(machinery, definition, transaction, current, options.propagationPolicy);
    if (isDone(marked) && !holdsContent(definition, transaction, name)) {
      return answer(remove(machinery, definition, transaction, key, marked).body, true);
    }
    if (sameJson(marked, current)) return answer(there.body, false);
    return answer(put(machinery, definition, transaction, key, marked).body, false);
  });
}

function holdsContent(definition: ResourceDefinition, transaction: Transaction, name: string): boolean {
  return isNamespaceResource(definition) && transaction.inhabited(name);
}

/** True when the deletion of the object waits for nothing. */
function isDone(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).length === 0;
}

function markDeleted(
  machinery: Machinery,
  definition: ResourceDefinition,
  transaction: Transaction,
  current: KubeObject,
  policy: PropagationPolicy,
): KubeObject {
  const { uid, deletionTimestamp, generation = 1 } = current.metadata;
  if (deletionTimestamp !== undefined) return current;
  const finalizers = (current.metadata.finalizers ?? []).filter((each) => each !== FOREGROUND && each !== ORPHAN);
  const extra = policy === "Foreground" ? [FOREGROUND] : policy === "Orphan" ? [ORPHAN] : [];
  const wanted = uid !== undefined && transaction.owns(uid) ? [...finalizers, ...extra] : finalizers;
  const marked = withMetadata(current, {
    deletionTimestamp: timestamp(machinery.now()),
    deletionGracePeriodSeconds: 0,
    generation: generation + 1,
    finalizers: wanted.length === 0 ? undefined : wanted,
  });
  return isNamespaceResource(definition) ? withPhase(marked, "Terminating") : marked;
}

/** Removes a namespace that was marked, when nothing lies in it any more. */
export async function removeEmptyNamespace(machinery: Machinery, definition: ResourceDefinition, name: string) {
  await machinery.store.transact((transaction) => {
    const key = keyFor(definition, "", name);
    const there = transaction.get(key);
    if (there === undefined || transaction.inhabited(name)) return;
    const object = asKubeObject(servedObject(machinery.catalog, definition, there.body));
    if (isDone(object)) remove(machinery, definition, transaction, key, object);
  });
}

function put(
  { catalog }: Machinery,
  definition: ResourceDefinition,
  transaction: Transaction,
  key: ObjectKey,
  object: KubeObject,
): StoredObject {
  const uid = object.metadata.uid;
  if (uid === undefined) throw new Error("an object without uid cannot be stored");
  return transaction.put(key, uid, ownerUids(object), (revision) =>
    storedBody(catalog, definition, withMetadata(object, { resourceVersion: String(revision) })),
  );
}

function remove(
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

function withoutStatus(definition: ResourceDefinition, object: KubeObject): KubeObject {
  return definition.statusSubresource ? asKubeObject(withFields(object, { status: undefined })) : object;
}

/** The object to store: what only the API decides comes from the one that is there. */
function prepare(
  definition: ResourceDefinition,
  current: KubeObject,
  given: KubeObject,
  subresource: "status" | undefined,
): KubeObject {
  if (subresource === "status") return asKubeObject(withFields(current, { status: given["status"] }));
  const { metadata } = current;
  const pinned = withMetadata(given, {
    name: metadata.name,
    namespace: metadata.namespace,
    generateName: metadata.generateName,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    generation: metadata.generation,
    creationTimestamp: metadata.creationTimestamp,
    deletionTimestamp: metadata.deletionTimestamp,
    deletionGracePeriodSeconds: metadata.deletionGracePeriodSeconds,
  });
  if (metadata.deletionTimestamp !== undefined) {
    const held = metadata.finalizers ?? [];
    const added = (pinned.metadata.finalizers ?? []).filter((finalizer) => !held.includes(finalizer));
    if (added.length > 0) {
      throw invalid(definition, metadata.name, [
        {
          reason: "FieldValueForbidden",
          field: "metadata.finalizers",
          message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
        },
      ]);
    }
  }
  return definition.statusSubresource ? asKubeObject(withFields(pinned, { status: current["status"] })) : pinned;
}

/** True where something else than metadata and status differs. */
function asksAnew(definition: ResourceDefinition, current: KubeObject, next: KubeObject): boolean {
  const asked = (object: KubeObject) =>
    withFields(object, { metadata: undefined, ...(definition.statusSubresource ? { status: undefined } : {}) });
  return !sameJson(asked(current), asked(next));
}

function requireSame(definition: ResourceDefinition, current: KubeObject, given: KubeObject): void {
  const { uid, resourceVersion } = given.metadata;
  if (uid !== undefined && uid !== current.metadata.uid) {
    throw conflict(
      definition,
      current.metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
    throw staleWrite(definition, current.metadata.name);
  }
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

async function admit(
  machinery: Machinery,
  definition: ResourceDefinition,
  options: WriteOptions,
  request: Pick<AdmissionRequest, "operation" | "object" | "oldObject">,
): Promise<{ object: KubeObject; warnings: readonly string[] }> {
  const { metadata } = request.object;
  const response = await machinery.admission({
    ...request,
    group: definition.group,
    version: definition.version,
    kind: definition.kind,
    plural: definition.plural,
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    name: metadata.name,
    user: options.user,
    dryRun: options.dryRun,
  });
  if (response.allowed) return { object: response.object, warnings: response.warnings };
  const { name } = metadata;
  if (response.status === 422 && response.causes.length > 0) {
    throw withWarnings(invalid(definition, name, response.causes), response.warnings);
  }
  if (response.status === 403) {
    throw withWarnings(forbidden(definition, name, response.message, response.causes), response.warnings);
  }
  const status = failure(response.status, response.reason, response.message, {
    name,
    ...(definition.group === "" ? {} : { group: definition.group }),
    kind: definition.plural,
    causes: response.causes,
  });
  throw withWarnings(new ApiError("PB6010", status), response.warnings);
}

const refusalWarnings = new WeakMap<ApiError, readonly string[]>();

function withWarnings(error: ApiError, warnings: readonly string[]): ApiError {
  refusalWarnings.set(error, warnings);
  return error;
}

/** What admission warned of beside its refusal. */
export function warningsOf(error: ApiError): readonly string[] {
  return refusalWarnings.get(error) ?? [];
}

/** For sentences of the log. */
export function describeObject(definition: ResourceDefinition, namespace: string, name: string): string {
  return `${qualifiedPlural(definition)} ${definition.namespaced ? `${namespace}/` : ""}${name} (${apiVersionOf(definition)})`;
}

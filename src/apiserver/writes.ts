import { randomUUID } from "node:crypto";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import { admit } from "./admit.ts";
import { validateFields } from "./field-validation.ts";
import { sameJson, withFields } from "./json.ts";
import { isDone, put, remove } from "./keeping.ts";
import type { Machinery, WriteOptions, Written } from "./machinery.ts";
import { asNewNamespace, isNamespaceResource, requireNamespace } from "./namespaces.ts";
import { asKubeObject, readObject, withMetadata } from "./object-meta.ts";
import {
  alreadyExists,
  badRequest,
  conflict,
  invalid,
  notFound,
  staleWrite,
  tooLarge,
  tooManyCollisions,
} from "./refusals.ts";
import { LARGEST_BODY } from "./request-body.ts";
import { keyFor, servedBody, servedObject } from "./serving.ts";
import type { StoredObject } from "./store.ts";

/** Larger than any body, so that what was taken once can be written to; in characters of JSON. */
const LARGEST_OBJECT = 2 * LARGEST_BODY;
/** How often a write without a resourceVersion is tried again after others came in between. */
const ATTEMPTS = 16;

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
    creationTimestamp: timestampOf(machinery.now()),
    generation: 1,
    deletionTimestamp: undefined,
    deletionGracePeriodSeconds: undefined,
  };
  const fresh = withMetadata(withoutStatus(definition, given), born);
  const judged = validateFields(definition, fresh, options.fieldValidation);
  const admitted = await admit(machinery, definition, options, { operation: "CREATE", object: judged.object });
  const settled = withMetadata(admitted.object, { ...born, name, namespace: fresh.metadata.namespace });
  const object = isNamespaceResource(definition) ? asNewNamespace(settled) : settled;
  const warnings = [...judged.warnings, ...admitted.warnings];
  const key = keyFor(definition, namespace, name);
  if (options.dryRun) {
    if (store.get(key) !== undefined) throw alreadyExists(definition, name);
    return { body: JSON.stringify(object), warnings, created: true };
  }
  const stored = await store.transact((transaction) => {
    requireNamespace(catalog, transaction.get, definition, namespace, name);
    if (transaction.get(key) !== undefined) throw alreadyExists(definition, name);
    return requireSize(put(machinery, definition, transaction, key, object));
  });
  return { body: servedBody(definition, stored.body), warnings, created: true };
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
  const { store } = machinery;
  const key = keyFor(definition, namespace, name);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const stored = store.get(key);
    if (stored === undefined) throw notFound(definition, name);
    const current = asKubeObject(servedObject(definition, stored.body));
    const given = readObject(definition, wanted.from(current), namespace, name);
    requireSame(definition, current, given);
    const prepared = prepare(definition, current, given, wanted.subresource);
    const judged = validateFields(definition, prepared, options.fieldValidation);
    const admitted =
      wanted.subresource === undefined
        ? await admit(machinery, definition, options, {
            operation: "UPDATE",
            object: judged.object,
            oldObject: current,
          })
        : { object: judged.object, warnings: [] };
    const settled = prepare(definition, current, admitted.object, wanted.subresource);
    const warnings = [...judged.warnings, ...admitted.warnings];
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
        : requireSize(put(machinery, definition, transaction, key, object));
    });
    if (written !== undefined) {
      return { body: servedBody(definition, written.body), warnings, created: false };
    }
    if (wanted.pinned) throw staleWrite(definition, name);
  }
  throw tooManyCollisions(definition, name);
}

/** What many patches made too large is not stored: the throw undoes it. */
function requireSize(stored: StoredObject): StoredObject {
  if (stored.body.length > LARGEST_OBJECT) throw tooLarge(LARGEST_OBJECT);
  return stored;
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

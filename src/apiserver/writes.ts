import { randomUUID } from "node:crypto";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { timestampOf } from "../model/api/timestamp.ts";
import { isJsonObject, objectAt } from "../model/json.ts";
import { admit } from "./admit.ts";
import { apiVersionOf } from "./catalog.ts";
import { type ValidatedFields, validateConfig, validateFields, validateStatus } from "./field-validation.ts";
import { sameJson, surveyJson, withFields } from "./json.ts";
import { holdsContent, isDone, put, remove } from "./keeping.ts";
import type { Machinery, WriteOptions, Written } from "./machinery.ts";
import { type Ownership, ownershipsOf, timeless, type Writer } from "./managed-fields.ts";
import { asNewNamespace, isNamespaceResource, requireNamespace, withNameLabel } from "./namespaces.ts";
import { asKubeObject, readObject, takeOwners, withMetadata } from "./object-meta.ts";
import { namesRevision } from "./patches.ts";
import { carrying, withWarnings } from "./refusal-warnings.ts";
import {
  alreadyExists,
  badRequest,
  conflict,
  invalid,
  notFound,
  staleWrite,
  tooLarge,
  tooManyCollisions,
  tooManyValues,
  unversionedWrite,
} from "./refusals.ts";
import { DEEPEST_NESTING, LARGEST_BODY, MOST_VALUES } from "./request-body.ts";
import { applyToObject, ownersAfterUpdate, ownersAtCreation, ownersByApply, readConfig } from "./server-side-apply.ts";
import { keyFor, servedBody, servedObject } from "./serving.ts";

/** Larger than any body, so that what was taken once can be written to; in characters of JSON. */
const LARGEST_OBJECT = 2 * LARGEST_BODY;
/** Shorter texts cannot hold too many values. */
const SHORTEST_COUNTED = 2 * MOST_VALUES;
/** What the API and admission add to the largest body. */
const ADDED_VALUES = 1_000;
/** How often a write without a resourceVersion is tried again after others came in between. */
const ATTEMPTS = 16;

/** POST: stores a new object. `owners` are those of its fields, where they are known already. */
export async function createObject(
  machinery: Machinery,
  definition: ResourceDefinition,
  namespace: string,
  body: unknown,
  options: WriteOptions,
  owners?: readonly Ownership[],
): Promise<Written> {
  const { catalog, store } = machinery;
  const taken = takeOwners(body);
  const given = readObject(definition, taken.body, namespace, undefined);
  if (given.metadata.resourceVersion !== undefined) {
    throw badRequest("resourceVersion should not be set on objects to be created");
  }
  const name = given.metadata.name;
  requireNamespace(catalog, store.get, definition, namespace, name);
  const born = {
    uid: randomUUID(),
    creationTimestamp: timestampOf(machinery.now()),
    generation: definition.countsChanges === false ? undefined : 1,
    deletionTimestamp: undefined,
    deletionGracePeriodSeconds: undefined,
  };
  const fresh = withMetadata(withoutStatus(definition, given), born);
  const judged = decoded(definition, validateFields(definition, fresh, options.fieldValidation));
  const admitted = await carrying(judged.warnings, () =>
    admit(machinery, definition, options, { operation: "CREATE", object: judged.object }),
  );
  const time = timestampOf(machinery.now());
  const managedFields =
    owners ?? ownersAtCreation(definition, judged.object, taken.owners, updater(definition, options), time);
  const settled = withMetadata(admitted.object, {
    ...born,
    name,
    namespace: fresh.metadata.namespace,
    managedFields: managedFields.length === 0 ? undefined : managedFields,
  });
  const object = isNamespaceResource(definition) ? asNewNamespace(settled) : settled;
  const warnings = [...judged.warnings, ...admitted.warnings];
  const key = keyFor(definition, namespace, name);
  return carrying(warnings, async () => {
    if (options.dryRun) {
      if (store.get(key) !== undefined) throw alreadyExists(definition, name);
      return { body: requireSize(object, JSON.stringify(object)), warnings, created: true, name, uid: born.uid };
    }
    const stored = await store.transact((transaction) => {
      requireNamespace(catalog, transaction.get, definition, namespace, name);
      if (transaction.get(key) !== undefined) throw alreadyExists(definition, name);
      const made = put(machinery, definition, transaction, key, object);
      requireSize(object, made.body);
      return made;
    });
    return { body: servedBody(definition, stored.body), warnings, created: true, name, uid: born.uid };
  });
}

/** What a write makes of the object that is there. */
export interface Wanted {
  /** The whole object as wanted; called again with newer ones while others write. */
  readonly from: (current: KubeObject) => unknown;
  /** True where `from` names the resourceVersion that it was made for. */
  readonly pinned: boolean;
  readonly subresource?: "status";
  /** True where `from` tells who owns the fields of what it makes. */
  readonly tellsOwners?: boolean;
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
    const taken = takeOwners(wanted.from(current));
    const given = readObject(definition, taken.body, namespace, name);
    requireSame(definition, current, given);
    const prepared = prepare(definition, current, given, wanted.subresource);
    const validate = wanted.subresource === "status" ? validateStatus : validateFields;
    const judged = decoded(definition, validate(definition, prepared, options.fieldValidation));
    const admitted =
      wanted.subresource === undefined
        ? await carrying(judged.warnings, () =>
            admit(machinery, definition, options, {
              operation: "UPDATE",
              object: judged.object,
              oldObject: current,
            }),
          )
        : { object: judged.object, warnings: [] };
    const owners =
      wanted.tellsOwners === true
        ? ownershipsOf(taken.owners)
        : ownersAfterUpdate(
            definition,
            current,
            judged.object,
            taken.owners,
            updater(definition, options, wanted.subresource),
            timestampOf(machinery.now()),
          );
    const settled = withMetadata(prepare(definition, current, admitted.object, wanted.subresource), {
      managedFields: owners.length === 0 ? undefined : owners,
    });
    const warnings = [...judged.warnings, ...admitted.warnings];
    if (changesNothing(settled, current)) {
      return { body: JSON.stringify(current), warnings, created: false, name, uid: stored.uid };
    }
    const object = withMetadata(settled, { generation: generationAfter(definition, current, settled) });
    if (options.dryRun) {
      const body = await carrying(warnings, async () => requireSize(object, JSON.stringify(object)));
      return { body, warnings, created: false, name, uid: stored.uid };
    }
    const written = await carrying(warnings, () =>
      store.transact((transaction) => {
        const there = transaction.get(key);
        if (there === undefined) throw notFound(definition, name);
        if (there.revision !== stored.revision) return undefined;
        if (isDone(object) && !holdsContent(definition, transaction, name)) {
          return remove(machinery, definition, transaction, key, object);
        }
        const changed = put(machinery, definition, transaction, key, object);
        requireSize(object, changed.body);
        return changed;
      }),
    );
    if (written !== undefined) {
      return { body: servedBody(definition, written.body), warnings, created: false, name, uid: stored.uid };
    }
    if (wanted.pinned) throw withWarnings(staleWrite(definition, name), warnings);
  }
  throw tooManyCollisions(definition, name);
}

/** PUT: replaces an object, or its status only; of the kinds that are so made too, it makes the one that is not there. */
export async function replaceObject(
  machinery: Machinery,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
  body: unknown,
  options: WriteOptions,
  subresource?: "status",
): Promise<Written> {
  const pinned = namesRevision(body);
  const wanted = { from: () => body, pinned, ...(subresource === undefined ? {} : { subresource }) };
  const makes = definition.createdByUpdate === true && !pinned && subresource === undefined;
  if (makes && machinery.store.get(keyFor(definition, namespace, name)) === undefined) {
    // It has the name of the path, whether it says so or not.
    const { metadata } = readObject(definition, takeOwners(body).body, namespace, name);
    const named = isJsonObject(body)
      ? { ...body, metadata: { ...objectAt(body, "metadata"), name: metadata.name } }
      : body;
    return createObject(machinery, definition, namespace, named, options);
  }
  return changeObject(machinery, definition, namespace, name, wanted, options);
}

/** True where nothing differs but the times at which owners wrote the same as before. */
function changesNothing(next: KubeObject, current: KubeObject): boolean {
  const [owners, held] = [next.metadata.managedFields, current.metadata.managedFields];
  if (owners === held) return sameJson(next, current);
  if (!sameJson(ownershipsOf(owners).map(timeless), ownershipsOf(held).map(timeless))) return false;
  return sameJson(withMetadata(next, { managedFields: held }), current);
}

/** What is applied, and how. */
export interface Applied {
  readonly config: unknown;
  /** True: takes over fields that others own. */
  readonly force: boolean;
  /** True where the configuration names the resourceVersion that it is made for. */
  readonly pinned: boolean;
  readonly subresource?: "status";
}

/** PATCH by server-side apply: makes an object as its configuration says, or creates it. */
export async function applyObject(
  machinery: Machinery,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
  { config, force, pinned, subresource }: Applied,
  options: WriteOptions,
): Promise<Written> {
  if (isJsonObject(config) && (config["apiVersion"] === undefined || config["kind"] === undefined)) {
    throw badRequest("what is applied must have apiVersion and kind");
  }
  const given = readConfig(definition, readObject(definition, config, namespace, name), subresource);
  const judged = validateConfig(definition, given, options.fieldValidation);
  const { manager } = options;
  const part = subresource === undefined ? {} : { subresource };
  const writer = { manager, operation: "Apply", apiVersion: apiVersionOf(definition), ...part } as const;
  const from = (current: KubeObject): KubeObject =>
    applyToObject(definition, current, judged.object, { writer, force, time: timestampOf(machinery.now()) });
  const isThere = () => machinery.store.get(keyFor(definition, namespace, name)) !== undefined;
  const apply = async (): Promise<Written> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const changes = subresource !== undefined || isThere();
      try {
        if (changes) {
          const wanted: Wanted = { from, pinned, tellsOwners: true, ...part };
          return await changeObject(machinery, definition, namespace, name, wanted, options);
        }
        const { uid } = given.metadata;
        if (uid !== undefined) {
          throw conflict(definition, name, `no object is there, and what is applied has uid ${uid}`);
        }
        const owners = ownersByApply(definition, judged.object, { writer, force, time: timestampOf(machinery.now()) });
        return await createObject(machinery, definition, namespace, judged.object, options, owners);
      } catch (thrown) {
        // Another one deleted it, or created it, in between.
        const missed = subresource === undefined && isApiError(thrown, changes ? "NotFound" : "AlreadyExists");
        if (!missed || isThere() === changes) throw thrown;
      }
    }
    throw tooManyCollisions(definition, name);
  };
  const written = await carrying(judged.warnings, apply);
  return { ...written, warnings: [...judged.warnings, ...written.warnings] };
}

function updater(definition: ResourceDefinition, { manager }: WriteOptions, subresource?: "status"): Writer {
  const part = subresource === undefined ? {} : { subresource };
  return { manager, operation: "Update", apiVersion: apiVersionOf(definition), ...part };
}

/** What is kept of an object that its schema has judged. */
function decoded(definition: ResourceDefinition, judged: ValidatedFields): ValidatedFields {
  return definition.decode === undefined ? judged : { ...judged, object: definition.decode(judged.object) };
}

/** What many patches made too large is not stored: the throw undoes it. */
function requireSize(object: KubeObject, body: string): string {
  const { length } = body;
  if (length > LARGEST_OBJECT) throw tooLarge(LARGEST_OBJECT);
  if (length > SHORTEST_COUNTED) {
    const { values } = surveyJson(withMetadata(object, { managedFields: undefined }), DEEPEST_NESTING);
    if (values > MOST_VALUES + ADDED_VALUES) throw tooManyValues(MOST_VALUES, values);
  }
  return body;
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
  const named = isNamespaceResource(definition) ? withNameLabel(pinned) : pinned;
  return definition.statusSubresource ? asKubeObject(withFields(named, { status: current["status"] })) : named;
}

function generationAfter(definition: ResourceDefinition, current: KubeObject, next: KubeObject): number | undefined {
  if (definition.countsChanges === false) return undefined;
  return (current.metadata.generation ?? 1) + (asksAnew(definition, current, next) ? 1 : 0);
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
  if (resourceVersion === undefined && definition.unconditionalUpdate !== true) {
    throw unversionedWrite(definition, current.metadata.name);
  }
  if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
    throw staleWrite(definition, current.metadata.name);
  }
}

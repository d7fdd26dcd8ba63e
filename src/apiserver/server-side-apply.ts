import type { StatusCause } from "../model/api/admission.ts";
import type { KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import type { ApiError } from "../model/api/status.ts";
import { isJsonObject, objectAt, textAt } from "../model/json.ts";
import { dropFields, listProblems, mergeConfig } from "./apply-merge.ts";
import { changesOf, changesWithout, fieldsOf, isWithoutChanges } from "./field-changes.ts";
import { difference, type FieldSet, isEmptySet, NO_FIELDS, pathsOf, union } from "./field-set.ts";
import { sameJson, withFields } from "./json.ts";
import {
  afterApply,
  afterUpdate,
  beforeFirstApply,
  conflictsWith,
  type FieldConflict,
  isOf,
  type Ownership,
  ownershipsOf,
  readOwnerships,
  timeless,
  UNOWNED,
  type Writer,
} from "./managed-fields.ts";
import { mergeSchema } from "./merge-shape.ts";
import { asKubeObject, withMetadata } from "./object-meta.ts";
import { applyConflict, invalid } from "./refusals.ts";

/** Who applies, and whether it takes over what others own. */
export interface Applying {
  readonly writer: Writer;
  readonly force: boolean;
  /** RFC 3339. */
  readonly time: string;
}

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
/** The manager that kubectl applies as; it takes over what it applied as a client before. */
const KUBECTL = "kubectl";

/**
 * What a configuration, judged by {@link readConfig}, makes of an object: its fields are set and owned by its manager,
 * those that the manager applied before and nobody owns now go; `managedFields` tell it.
 *
 * @throws ApiError 409 where others own fields that would change.
 */
export function applyToObject(
  definition: ResourceDefinition,
  current: KubeObject,
  config: KubeObject,
  { writer, force, time }: Applying,
): KubeObject {
  const schema = mergeSchema(definition);
  const live = withMetadata(current, { managedFields: undefined });
  const recorded = ownershipsOf(current.metadata.managedFields);
  const before =
    recorded.length > 0 ? recorded : beforeFirstApply(allFieldsOf(definition, live), writer.apiVersion, time);
  const wanted = fieldsOf(schema, config);
  const own = before.find((entry) => isOf(entry, writer));
  const merged = asKubeObject(mergeConfig(schema, live, config));
  const kept = before.reduce((all, entry) => (entry === own ? all : union(all, entry.fieldsV1)), wanted);
  const left = own === undefined ? merged : asKubeObject(dropFields(schema, merged, own.fieldsV1, kept));
  const changes = changesWithout(changesOf(schema, live, left), UNOWNED);
  if (!force) requireNoConflict(definition, live, conflictsWith(before, changes, writer), writer);
  const after = afterApply(before, wanted, changes, writer, time);
  const isSame = isWithoutChanges(changes) && sameJson(after.map(timeless), before.map(timeless));
  const object = isSame ? left : withLastApplied(left, config, writer);
  return withMetadata(object, { managedFields: isSame ? current.metadata.managedFields : after });
}

/** The owners of an object that a configuration, judged by {@link readConfig}, makes. */
export function ownersByApply(
  definition: ResourceDefinition,
  config: KubeObject,
  { writer, time }: Applying,
): readonly Ownership[] {
  const nothing = { added: NO_FIELDS, modified: NO_FIELDS, removed: NO_FIELDS };
  return afterApply([], fieldsOf(mergeSchema(definition), config), nothing, writer, time);
}

/**
 * The part of a configuration that a path takes.
 *
 * @throws ApiError 422 where it speaks of managedFields, or its lists cannot be merged.
 */
export function readConfig(
  definition: ResourceDefinition,
  config: KubeObject,
  subresource: "status" | undefined,
): KubeObject {
  if (config.metadata.managedFields !== undefined) {
    const message = "Forbidden: must be left out of what is applied";
    throw invalid(definition, config.metadata.name, [
      { reason: "FieldValueForbidden", field: "metadata.managedFields", message },
    ]);
  }
  const causes = listProblems(mergeSchema(definition), config);
  if (causes.length > 0) throw invalid(definition, config.metadata.name, causes);
  const { apiVersion, kind, metadata, status } = config;
  if (subresource === "status") {
    const { name, uid, resourceVersion } = metadata;
    const identity = asKubeObject({ apiVersion, kind, metadata: withFields({ name, uid, resourceVersion }, {}) });
    return status === undefined ? identity : { ...identity, status };
  }
  return definition.statusSubresource ? asKubeObject(withFields(config, { status: undefined })) : config;
}

/**
 * The owners after a write that is no apply. An object whose fields nobody owns stays so until somebody applies to it.
 * `given` is what the client says of them itself.
 *
 * @throws ApiError 422 where that cannot be read.
 */
export function ownersAfterUpdate(
  definition: ResourceDefinition,
  current: KubeObject,
  next: KubeObject,
  given: unknown,
  writer: Writer,
  time: string,
): readonly Ownership[] {
  const start = startingOwners(definition, current, given, writer);
  if (start.length === 0) return start;
  return afterUpdate(start, changesOf(mergeSchema(definition), current, next), writer, time);
}

/** The owners of an object that is created other than by apply; `given` is what the client says of them itself. */
export function ownersAtCreation(
  definition: ResourceDefinition,
  object: KubeObject,
  given: unknown,
  writer: Writer,
  time: string,
): readonly Ownership[] {
  const start = given === undefined ? [] : readGiven(definition, object, given);
  const changes = { added: allFieldsOf(definition, object), modified: NO_FIELDS, removed: NO_FIELDS };
  return afterUpdate(start, changes, writer, time);
}

function startingOwners(
  definition: ResourceDefinition,
  current: KubeObject,
  given: unknown,
  { subresource }: Writer,
): readonly Ownership[] {
  const held = current.metadata.managedFields;
  if (subresource !== undefined || given === undefined || given === held || sameJson(given, held)) {
    return ownershipsOf(current.metadata.managedFields);
  }
  return readGiven(definition, current, given);
}

function readGiven(definition: ResourceDefinition, object: KubeObject, given: unknown): readonly Ownership[] {
  const { entries = [], causes } = readOwnerships(given);
  if (causes.length > 0) throw invalid(definition, object.metadata.name, causes);
  return entries;
}

/** Every field of an object, with what holds it. */
function allFieldsOf(definition: ResourceDefinition, object: KubeObject): FieldSet {
  return changesOf(mergeSchema(definition), { metadata: {} }, object).added;
}

function requireNoConflict(
  definition: ResourceDefinition,
  live: KubeObject,
  conflicts: readonly FieldConflict[],
  writer: Writer,
): void {
  if (conflicts.length === 0) return;
  const allowed = writer.manager === KUBECTL ? lastAppliedFields(definition, live) : NO_FIELDS;
  const left = conflicts
    .map(({ owner, fields }) => ({ owner, fields: difference(fields, allowed) }))
    .filter(({ fields }) => !isEmptySet(fields));
  if (left.length > 0) throw conflictOf(left);
}

/** What kubectl applied as a client last and is still so: its own to change. */
function lastAppliedFields(definition: ResourceDefinition, live: KubeObject): FieldSet {
  const text = live.metadata.annotations?.[LAST_APPLIED];
  if (text === undefined) return NO_FIELDS;
  try {
    const last: unknown = JSON.parse(text);
    if (!isJsonObject(last)) return NO_FIELDS;
    const schema = mergeSchema(definition);
    const { modified, removed } = changesOf(schema, last, live);
    return difference(fieldsOf(schema, last), union(modified, removed));
  } catch {
    // Anybody may write annotations.
    return NO_FIELDS;
  }
}

/** kubectl's own record of a client-side apply follows what it applies here, so that either way can be gone on with. */
function withLastApplied(object: KubeObject, config: KubeObject, writer: Writer): KubeObject {
  const annotations = objectAt({ ...object.metadata }, "annotations");
  if (writer.manager !== KUBECTL || textAt(annotations, LAST_APPLIED) === undefined) return object;
  const { [LAST_APPLIED]: _, ...others } = config.metadata.annotations ?? {};
  const applied = withMetadata(config, { annotations: Object.keys(others).length === 0 ? undefined : others });
  return withMetadata(object, {
    annotations: { ...object.metadata.annotations, [LAST_APPLIED]: `${JSON.stringify(applied)}\n` },
  });
}

/** Of one owner, in a conflict's message; more of them help nobody. */
const MOST_PATHS = 100;

/** A conflict in Kubernetes' own words, which clients print. */
function conflictOf(conflicts: readonly FieldConflict[]): ApiError {
  const named = conflicts
    .map(({ owner, fields }) => ({ who: shown(owner), paths: pathsOf(fields) }))
    .toSorted((left, right) => (left.who < right.who ? -1 : 1));
  const causes = named.flatMap(({ who, paths }) =>
    paths.map((field): StatusCause => ({ reason: "FieldManagerConflict", message: `conflict with ${who}`, field })),
  );
  const [first] = causes;
  if (causes.length === 1 && first !== undefined) {
    return applyConflict(`Apply failed with 1 conflict: ${first.message}: ${first.field}`, causes);
  }
  const lines = named.flatMap(({ who, paths }) => [
    `conflicts with ${who}:`,
    ...paths.slice(0, MOST_PATHS).map((path) => `- ${path}`),
    ...(paths.length > MOST_PATHS ? [`- ${paths.length - MOST_PATHS} more fields`] : []),
  ]);
  return applyConflict(`Apply failed with ${causes.length} conflicts: ${lines.join("\n")}`, causes);
}

function shown({ manager, operation, apiVersion, subresource }: Ownership): string {
  const name = `${JSON.stringify(manager)}${subresource === undefined ? "" : ` with subresource ${JSON.stringify(subresource)}`}`;
  return operation === "Update" ? `${name} using ${apiVersion}` : name;
}

import { metadata } from "../model/api/metadata.ts";
import type { JsonSchema, ResourceDefinition } from "../model/api/resource.ts";
import { flag, list, object, text, whole } from "../model/api/schema.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { listKindOf } from "./catalog.ts";
import { mergesStrategically, patchMergeKeys } from "./strategic-merge.ts";

/** Names of the schemas that every document shares, as Kubernetes names them. */
const META = "io.k8s.apimachinery.pkg.apis.meta.v1";
export const STATUS_NAME = `${META}.Status`;
export const DELETE_OPTIONS_NAME = `${META}.DeleteOptions`;
export const PATCH_NAME = `${META}.Patch`;
const OBJECT_META_NAME = `${META}.ObjectMeta`;
const LIST_META_NAME = `${META}.ListMeta`;

/** Where references of an OpenAPI v3 document lead. */
export const V3_ROOT = "#/components/schemas/";

const API_VERSION = text("Group and version of the schema that the object is written in.");
const KIND = text("Kind of the object, in CamelCase.");

const listMeta = object(
  "What every list has.",
  {},
  {
    resourceVersion: text("Version of the whole list; a watch from it misses nothing."),
    continue: text("Token of the next page; absent on the last one."),
    remainingItemCount: whole("Objects behind this page, where that is known.", "int64"),
    selfLink: text("Address of the list; Kubernetes no longer sets it."),
  },
);

const deleteOptions = object(
  "How a deletion is to be carried out.",
  {},
  {
    apiVersion: API_VERSION,
    kind: KIND,
    gracePeriodSeconds: whole("Seconds that the object is left.", "int64"),
    propagationPolicy: text("`Background`, `Foreground` or `Orphan`. Default Background."),
    orphanDependents: flag("Former word for `propagationPolicy: Orphan`."),
    preconditions: object(
      "What the object must be for the deletion to happen.",
      {},
      { uid: text("UID of the object."), resourceVersion: text("Version of the object.") },
    ),
    dryRun: list("`All`: answer and delete nothing.", text("`All`.")),
  },
);

const status = object(
  "The answer to a call that gives back no object.",
  {},
  {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: listMeta,
    status: text("`Success` or `Failure`."),
    message: text("A sentence for people."),
    reason: text("One word for programs, such as `NotFound`."),
    code: whole("The HTTP status."),
    details: object(
      "What the answer is about.",
      {},
      {
        name: text("Name of the object."),
        group: text("Group of the resource."),
        kind: text("Plural of the resource."),
        uid: text("UID of the object."),
        retryAfterSeconds: whole("Seconds after which another try is worth it."),
        causes: list(
          "Each thing that is wrong.",
          object(
            "One of them.",
            {},
            {
              reason: text("One word for programs."),
              message: text("A sentence."),
              field: text("Path of the field."),
            },
          ),
        ),
      },
    ),
  },
);

/** The schema's name in the way of Kubernetes: its own groups by their packages, others by the group turned round. */
export function schemaName(definition: ResourceDefinition): string {
  const { group, version, kind } = definition;
  if (group === "apiextensions.k8s.io")
    return `io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.${version}.${kind}`;
  if (mergesStrategically(definition)) return `io.k8s.api.${group.split(".")[0] || "core"}.${version}.${kind}`;
  return `${group.split(".").toReversed().join(".")}.${version}.${kind}`;
}

export function listName(definition: ResourceDefinition): string {
  return `${schemaName(definition)}List`;
}

/** The schemas of these kinds and of their lists, by name, with what they refer to; as OpenAPI v3 has them. */
export function openApiSchemas(definitions: readonly ResourceDefinition[]): Readonly<Record<string, JsonSchema>> {
  const kinds = definitions.flatMap((definition): [string, JsonSchema][] => [
    [schemaName(definition), kindSchema(definition)],
    [listName(definition), listSchema(definition)],
  ]);
  return Object.fromEntries([
    ...kinds,
    [OBJECT_META_NAME, shared(metadata, true)],
    [LIST_META_NAME, listMeta],
    [DELETE_OPTIONS_NAME, deleteOptions],
    [STATUS_NAME, status],
    [PATCH_NAME, { type: "object", description: "A change of an object, in the form that the media type says." }],
  ]);
}

function kindSchema(definition: ResourceDefinition): JsonSchema {
  const { schema = OPEN } = definition;
  const root = shared(schema, mergesStrategically(definition));
  return {
    ...root,
    type: "object",
    properties: {
      ...fieldsOf(root),
      apiVersion: fieldsOf(schema)["apiVersion"] ?? API_VERSION,
      kind: fieldsOf(schema)["kind"] ?? KIND,
      metadata: reference(OBJECT_META_NAME, String(metadata["description"])),
    },
    "x-kubernetes-group-version-kind": [groupVersionKind(definition)],
  };
}

const OPEN: JsonSchema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

function listSchema(definition: ResourceDefinition): JsonSchema {
  const { kind } = definition;
  return {
    type: "object",
    description: `A list of ${kind} objects.`,
    required: ["items"],
    properties: {
      apiVersion: API_VERSION,
      kind: KIND,
      metadata: reference(LIST_META_NAME, String(listMeta["description"])),
      items: {
        type: "array",
        description: "The objects.",
        items: reference(schemaName(definition), `One ${kind}.`),
      },
    },
    "x-kubernetes-group-version-kind": [groupVersionKind({ ...definition, kind: listKindOf(definition) })],
  };
}

/** A property that is another schema; in OpenAPI v3 nothing may stand beside `$ref`. */
function reference(name: string, description: string): JsonSchema {
  return { description, allOf: [{ $ref: `${V3_ROOT}${name}` }] };
}

/**
 * A schema with references for the parts that all kinds share, and for Kubernetes' own kinds with the keys by which
 * clients merge lists in a strategic patch.
 */
function shared(schema: JsonSchema, strategic: boolean): JsonSchema {
  const { properties, items, additionalProperties } = schema;
  const below = (value: unknown): unknown => (isJsonObject(value) ? shared(value, strategic) : value);
  return {
    ...schema,
    ...(isJsonObject(properties)
      ? {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, field]) => [
              name,
              field === metadata
                ? reference(OBJECT_META_NAME, String(metadata["description"]))
                : isJsonObject(field)
                  ? { ...shared(field, strategic), ...(strategic ? mergeExtensions(name, field) : {}) }
                  : field,
            ]),
          ),
        }
      : {}),
    ...(items === undefined ? {} : { items: below(items) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: below(additionalProperties) }),
  };
}

function mergeExtensions(name: string, field: JsonObject): JsonObject {
  const { type, items } = field;
  const isMerged = type === "array" && field["x-kubernetes-list-type"] !== "atomic";
  const keys = isMerged ? patchMergeKeys(name) : undefined;
  if (keys === undefined) return {};
  const known = isJsonObject(items) ? fieldsOf(items) : {};
  const isOpen = Object.keys(known).length === 0;
  const key = keys.find((candidate) => isOpen || Object.hasOwn(known, candidate));
  if (key !== undefined) return { "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": key };
  return keys.length === 0 ? { "x-kubernetes-patch-strategy": "merge" } : {};
}

function fieldsOf({ properties }: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return isJsonObject(properties) ? (properties as Readonly<Record<string, JsonSchema>>) : {};
}

export function groupVersionKind({
  group,
  version,
  kind,
}: Pick<ResourceDefinition, "group" | "version" | "kind">): object {
  return { group, kind, version };
}

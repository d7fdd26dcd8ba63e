import { randomInt } from "node:crypto";
import type { StatusCause } from "../model/api/admission.ts";
import { isLabelKey, isLabelValue } from "../model/api/names.ts";
import type { JsonSchema, KubeObject, ObjectMeta, OwnerReference, ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, type JsonObject, objectAt, textAt } from "../model/json.ts";
import { apiVersionOf } from "./catalog.ts";
import { withFields } from "./json.ts";
import { schemaOfField } from "./merge-shape.ts";
import { badRequest, invalid } from "./refusals.ts";

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const LARGEST_ANNOTATIONS = 256 * 1024;

/**
 * Takes the body of a write for an object of this resource: right kind, metadata that can be relied on, nulls gone.
 *
 * `name` and `namespace` are those of the path; the body may leave them out and may not contradict them.
 *
 * @throws ApiError 400 or 422.
 */
export function readObject(
  definition: ResourceDefinition,
  body: unknown,
  namespace: string,
  name: string | undefined,
): KubeObject {
  if (!isJsonObject(body)) throw badRequest(`the body must be a ${definition.kind}`);
  const apiVersion = body["apiVersion"] ?? apiVersionOf(definition);
  const kind = body["kind"] ?? definition.kind;
  if (kind !== definition.kind || apiVersion !== apiVersionOf(definition)) {
    throw badRequest(
      `the body is a ${String(kind)} of ${String(apiVersion)}; this path takes ${definition.kind} of ${apiVersionOf(definition)}`,
    );
  }
  if (body["metadata"] !== undefined && !isJsonObject(body["metadata"])) throw badRequest("metadata must be an object");
  // Kubernetes' own types and KubeVirt's have no null; a kind of a user may.
  const filled = withoutNulls(body, definition.definedBy === undefined ? undefined : definition.schema);
  const given = withoutNulls(objectAt(filled, "metadata"), undefined);
  const statedNamespace = textAt(given, "namespace");
  if (statedNamespace !== undefined && statedNamespace !== namespace && definition.namespaced) {
    throw badRequest(
      `the namespace of the provided object does not match the namespace sent on the request: ${statedNamespace} and ${namespace}`,
    );
  }
  const statedName = textAt(given, "name");
  if (name !== undefined && statedName !== undefined && statedName !== name) {
    throw badRequest(`the name of the object (${statedName}) does not match the name on the URL (${name})`);
  }
  const generateName = textAt(given, "generateName");
  const isGenerated = name === undefined && statedName === undefined;
  // Of a name made from a wrong beginning nothing needs to be said.
  if (isGenerated && generateName !== undefined) requirePrefix(definition, generateName);
  const finalName = name ?? statedName ?? generatedName(definition, generateName);
  // An empty text is none, and so is the version 0, as they are to Kubernetes.
  const empty = ["uid", "resourceVersion", "generateName"].filter((field) => given[field] === "");
  if (given["resourceVersion"] === "0") empty.push("resourceVersion");
  const metadata = withFields(given, {
    ...Object.fromEntries(empty.map((field) => [field, undefined])),
    name: finalName,
    namespace: definition.namespaced ? namespace : undefined,
    selfLink: undefined,
  });
  const causes = metadataCauses(definition, metadata, finalName);
  if (causes.length > 0) throw invalid(definition, finalName, causes);
  return asKubeObject(withFields(filled, { apiVersion: apiVersionOf(definition), kind: definition.kind, metadata }));
}

/** An object of the store, or one that {@link readObject} has judged. */
export function asKubeObject(value: unknown): KubeObject {
  if (isKubeObject(value)) return value;
  throw new Error("an object of the API lacks apiVersion, kind or metadata.name");
}

function isKubeObject(value: unknown): value is KubeObject {
  return (
    isJsonObject(value) &&
    typeof value["apiVersion"] === "string" &&
    typeof value["kind"] === "string" &&
    isJsonObject(value["metadata"]) &&
    typeof value["metadata"]["name"] === "string"
  );
}

export function withMetadata(object: KubeObject, changes: { [K in keyof ObjectMeta]?: ObjectMeta[K] | undefined }) {
  return asKubeObject({ ...object, metadata: withFields({ ...object.metadata }, changes) });
}

/** The UIDs of an object's owners. */
export function ownerUids(object: KubeObject): string[] {
  return (object.metadata.ownerReferences ?? []).map((reference) => reference.uid);
}

const SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const LONGEST_GENERATED_PREFIX = 58;

/** What a name says is wrong; undefined where it can be one. */
function nameProblem(definition: ResourceDefinition, name: string): string | undefined {
  const isNamespace = definition.group === "" && definition.plural === "namespaces";
  if (isNamespace ? LABEL.test(name) : name.length <= 253 && SUBDOMAIN.test(name)) return undefined;
  return isNamespace
    ? "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', at most 63 of them, and must start and end with an alphanumeric character"
    : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', at most 253 of them, and must start and end with an alphanumeric character";
}

/** @throws ApiError 422 where no name can begin so. */
function requirePrefix(definition: ResourceDefinition, prefix: string): void {
  const problem = nameProblem(definition, `${prefix.slice(0, LONGEST_GENERATED_PREFIX)}a`);
  if (problem === undefined) return;
  const message = `Invalid value: ${JSON.stringify(prefix)}: ${problem}`;
  throw invalid(definition, "", [{ reason: "FieldValueInvalid", field: "metadata.generateName", message }]);
}

function generatedName(definition: ResourceDefinition, prefix: string | undefined): string {
  if (prefix === undefined) {
    throw invalid(definition, "", [
      {
        reason: "FieldValueRequired",
        field: "metadata.name",
        message: "Required value: name or generateName is required",
      },
    ]);
  }
  const suffix = Array.from({ length: 5 }, () => SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)]).join("");
  return `${prefix.slice(0, LONGEST_GENERATED_PREFIX)}${suffix}`;
}

function metadataCauses(definition: ResourceDefinition, metadata: JsonObject, name: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const wrong = (field: string, value: unknown, why: string) =>
    causes.push({
      reason: "FieldValueInvalid",
      field: `metadata.${field}`,
      message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
    });
  const problem = nameProblem(definition, name);
  if (problem !== undefined) wrong("name", name, problem);
  for (const [key, value] of textEntries(metadata, "labels", wrong)) {
    if (!isLabelKey(key))
      wrong("labels", key, "a label key is an optional DNS prefix and '/', then at most 63 characters");
    if (!isLabelValue(value)) {
      wrong("labels", value, "a label value has at most 63 characters: alphanumeric ones, '-', '_' or '.'");
    }
  }
  const annotations = textEntries(metadata, "annotations", wrong);
  for (const [key] of annotations) {
    if (!isLabelKey(key.toLowerCase())) wrong("annotations", key, "an annotation key has the form of a label key");
  }
  const size = annotations.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0);
  if (size > LARGEST_ANNOTATIONS) {
    causes.push({
      reason: "FieldValueTooLong",
      field: "metadata.annotations",
      message: `Too long: may not be more than ${LARGEST_ANNOTATIONS} bytes`,
    });
  }
  const finalizers = metadata["finalizers"];
  if (finalizers !== undefined && !(Array.isArray(finalizers) && finalizers.every(isFinalizer))) {
    wrong("finalizers", finalizers, "must be a list of names such as example.io/name");
  }
  const owners = metadata["ownerReferences"];
  if (owners !== undefined && !(Array.isArray(owners) && owners.every(isOwnerReference))) {
    wrong("ownerReferences", owners, "each needs apiVersion, kind, name and uid");
  } else if (owners !== undefined) {
    const controllers = owners
      .filter(({ controller }) => controller === true)
      .map(({ kind, name: of }) => `${kind} ${of}`);
    if (controllers.length > 1) {
      const why = `Only one reference can have Controller set to true. Found "true" in references for ${controllers.join(" and ")}`;
      wrong("ownerReferences", owners, why);
    }
  }
  for (const field of ["uid", "resourceVersion", "generateName"]) {
    const value = metadata[field];
    if (value !== undefined && typeof value !== "string") wrong(field, value, "must be a string");
  }
  return causes;
}

function isFinalizer(value: unknown): boolean {
  return typeof value === "string" && isLabelKey(value);
}

function isOwnerReference(value: unknown): value is OwnerReference {
  return isJsonObject(value) && ["apiVersion", "kind", "name", "uid"].every((key) => textAt(value, key) !== undefined);
}

function textEntries(
  metadata: JsonObject,
  field: string,
  wrong: (field: string, value: unknown, why: string) => void,
): [string, string][] {
  const value = metadata[field];
  if (value === undefined) return [];
  if (!isJsonObject(value)) {
    wrong(field, value, "must be an object of strings");
    return [];
  }
  return Object.entries(value).filter((entry): entry is [string, string] => {
    const [key, text] = entry;
    if (typeof text === "string") return true;
    wrong(field, text, `the value of ${key} must be a string`);
    return false;
  });
}

/**
 * Without the fields whose value is null, which in the API are absent ones, but for those of which the schema takes it
 * or says nothing; itself where it has none.
 */
function withoutNulls(object: JsonObject, schema: JsonSchema | undefined): JsonObject {
  let changed: Record<string, unknown> | undefined;
  for (const key of Object.keys(object)) {
    const value = object[key];
    const field = schemaOfField(schema, key);
    if (schema !== undefined && (field === undefined ? isOpen(schema) : value === null && takesNull(field))) continue;
    const rest = cleaned(value, field);
    if (rest === value && value !== null) continue;
    changed ??= { ...object };
    if (value === null) delete changed[key];
    else changed[key] = rest;
  }
  return changed ?? object;
}

function cleaned(value: unknown, schema: JsonSchema | undefined): unknown {
  if (!Array.isArray(value)) return isJsonObject(value) ? withoutNulls(value, schema) : value;
  const ofItems = isJsonObject(schema?.["items"]) ? schema["items"] : undefined;
  const items = value.map((item) => cleaned(item, ofItems));
  return items.every((item, index) => item === value[index]) ? value : items;
}

function isOpen(schema: JsonSchema): boolean {
  return schema["x-kubernetes-preserve-unknown-fields"] === true || schema["additionalProperties"] === true;
}

function takesNull(schema: JsonSchema): boolean {
  return schema["nullable"] === true || (schema["type"] === undefined && isOpen(schema));
}

/** An object as a client gave it, and apart from it what it says of the owners of fields; null says nothing. */
export function takeOwners(body: unknown): { readonly body: unknown; readonly owners: unknown } {
  const metadata = isJsonObject(body) ? body["metadata"] : undefined;
  if (!isJsonObject(body) || !isJsonObject(metadata) || metadata["managedFields"] === undefined) {
    return { body, owners: undefined };
  }
  const { managedFields, ...rest } = metadata;
  return { body: { ...body, metadata: rest }, owners: managedFields ?? undefined };
}

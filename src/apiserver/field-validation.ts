import type { StatusCause } from "../model/api/admission.ts";
import { conform, prune } from "../model/api/conform.ts";
import { conforms } from "../model/api/conformity.ts";
import { checkConstraints } from "../model/api/constraints.ts";
import type { JsonSchema, KubeObject, ResourceDefinition } from "../model/api/resource.ts";
import { checkShape, type ShapeProblem } from "../model/api/shape.ts";
import { ApiError, failure } from "../model/api/status.ts";
import { objectAt } from "../model/json.ts";
import { apiVersionOf } from "./catalog.ts";
import { withFields } from "./json.ts";
import type { FieldValidation } from "./machinery.ts";
import { asKubeObject } from "./object-meta.ts";
import { withWarnings } from "./refusal-warnings.ts";
import { invalid } from "./refusals.ts";
import { mergesStrategically } from "./strategic-merge.ts";

/** An object as its resource's schema has it, and what the client is to be warned of. */
export interface ValidatedFields {
  readonly object: KubeObject;
  readonly warnings: readonly string[];
}

/**
 * Judges an object by its resource's schema: fields that it does not know go, and its defaults come in.
 *
 * `Warn` asks for a warning of each such field.
 *
 * @throws ApiError 400 for unknown fields under `Strict`, 422 for what is missing or of a wrong type or value.
 */
export function validateFields(
  definition: ResourceDefinition,
  object: KubeObject,
  mode: FieldValidation,
): ValidatedFields {
  const { schema } = definition;
  const lists = mergesStrategically(definition) ? "any" : "distinct";
  if (schema === undefined || conforms(schema, object, lists)) return { object, warnings: [] };
  const problems = checkShape(schema, object);
  const unknown = unknownFields(definition, problems, mode);
  const conformed = asKubeObject(conform(schema, object));
  const misshapen = conformed === object ? problems : checkShape(schema, conformed);
  const causes = (misshapen.length > 0 ? misshapen : checkConstraints(schema, conformed, lists)).map(causeOf);
  const warnings = mode === "Warn" ? unknown : [];
  if (causes.length > 0) throw withWarnings(invalid(definition, object.metadata.name, causes), warnings);
  return { object: conformed, warnings };
}

/**
 * Judges a write of an object's status: the rest of the object is the one that is stored.
 *
 * @throws ApiError as {@link validateFields}.
 */
export function validateStatus(
  definition: ResourceDefinition,
  object: KubeObject,
  mode: FieldValidation,
): ValidatedFields {
  const schema = statusSchema(definition.schema);
  if (schema === undefined) return validateFields(definition, object, mode);
  const { apiVersion, kind, metadata, status } = object;
  const part = asKubeObject({ apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) });
  const judged = validateFields({ ...definition, schema }, part, mode);
  if (judged.object === part) return { object, warnings: judged.warnings };
  return { object: asKubeObject(withFields(object, { status: judged.object["status"] })), warnings: judged.warnings };
}

const statusSchemas = new WeakMap<JsonSchema, JsonSchema>();
/** A schema that says more of the whole object is asked about the whole. */
const SEPARABLE: readonly string[] = [
  "type",
  "description",
  "properties",
  "required",
  "x-kubernetes-group-version-kind",
];

/** What a schema says of an object's status and of its frame; undefined where that cannot be told apart. */
function statusSchema(schema: JsonSchema | undefined): JsonSchema | undefined {
  if (schema === undefined || !Object.keys(schema).every((key) => SEPARABLE.includes(key))) return undefined;
  const known = statusSchemas.get(schema);
  if (known !== undefined) return known;
  const { apiVersion, kind, metadata, status } = objectAt(schema, "properties");
  if (apiVersion === undefined || kind === undefined || metadata === undefined || status === undefined)
    return undefined;
  const part: JsonSchema = { type: "object", properties: { apiVersion, kind, metadata, status } };
  statusSchemas.set(schema, part);
  return part;
}

/**
 * Judges a configuration of server-side apply, which need not be whole: only fields that the schema does not know go.
 *
 * @throws ApiError 400 for unknown fields under `Strict`.
 */
export function validateConfig(
  definition: ResourceDefinition,
  config: KubeObject,
  mode: FieldValidation,
): ValidatedFields {
  const { schema } = definition;
  if (schema === undefined || conforms(schema, config)) return { object: config, warnings: [] };
  const unknown = unknownFields(definition, checkShape(schema, config), mode);
  return { object: asKubeObject(prune(schema, config)), warnings: mode === "Warn" ? unknown : [] };
}

/** @throws ApiError 400 where there are some under `Strict`. */
function unknownFields(
  definition: ResourceDefinition,
  problems: readonly ShapeProblem[],
  mode: FieldValidation,
): readonly string[] {
  const unknown = problems.filter((problem) => problem.kind === "unknown").map(unknownField);
  if (mode === "Strict") refuseStrictly(definition, unknown);
  return unknown;
}

/**
 * Judges what a body names more than once: the sentences to warn of it with.
 *
 * @throws ApiError 400 where there is any under `Strict`.
 */
export function judgeDuplicates(
  definition: ResourceDefinition,
  duplicates: readonly string[],
  mode: FieldValidation,
): readonly string[] {
  if (mode === "Strict") refuseStrictly(definition, duplicates);
  return mode === "Warn" ? duplicates : [];
}

function refuseStrictly(definition: ResourceDefinition, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const { kind } = definition;
  const message = `${kind} in version "${apiVersionOf(definition)}" cannot be handled as a ${kind}: strict decoding error: ${problems.join(", ")}`;
  throw new ApiError("PB6010", failure(400, "BadRequest", message));
}

function unknownField({ path, hint }: ShapeProblem): string {
  return `unknown field "${path}"${hint === undefined ? "" : ` (${hint})`}`;
}

function causeOf({ path, kind, expected, found, hint }: ShapeProblem): StatusCause {
  const more = hint === undefined ? "" : ` (${hint})`;
  switch (kind) {
    case "missing":
      return { reason: "FieldValueRequired", field: path, message: `Required value: expected ${expected}${more}` };
    case "type":
      return {
        reason: "FieldValueTypeInvalid",
        field: path,
        message: `Invalid value: expected ${expected}, found ${found}${more}`,
      };
    default:
      return {
        reason: "FieldValueInvalid",
        field: path,
        message: `Invalid value: expected ${expected}, found ${found}${more}`,
      };
  }
}

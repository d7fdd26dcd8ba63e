import { isJsonObject, type JsonObject } from "../model/json.ts";
import type { Catalog } from "./catalog.ts";
import { type ApiOperation, apiOperations } from "./openapi-paths.ts";
import { groupVersionKind, openApiSchemas, V3_ROOT } from "./openapi-schemas.ts";

const V2_ROOT = "#/definitions/";

/**
 * The OpenAPI v2 document of all kinds: what kubectl up to 1.23 explains and checks manifests by.
 *
 * Such a client takes every field for unknown that an object's schema does not name. So an object that may hold any
 * field has its description only, as kube-apiserver publishes it.
 */
export function openApiV2Document(catalog: Catalog, title: string, version: string): JsonObject {
  const paths = Map.groupBy(apiOperations(catalog.definitions), ({ path }) => path);
  return {
    swagger: "2.0",
    info: { title, version },
    paths: Object.fromEntries(
      [...paths].map(([path, operations]) => [
        path,
        Object.fromEntries(operations.map((operation) => [operation.method, described(operation)])),
      ]),
    ),
    definitions: Object.fromEntries(
      Object.entries(openApiSchemas(catalog.definitions)).map(([name, schema]) => [name, asV2(schema)]),
    ),
  };
}

function described({ id, description, action, definition, parameters, body, answer }: ApiOperation): JsonObject {
  const schema = (name: string) => ({ $ref: `${V2_ROOT}${name}` });
  const isDeletion = action === "delete" || action === "deletecollection";
  return {
    description,
    operationId: id,
    ...(body === undefined ? {} : { consumes: body.types }),
    produces: ["application/json"],
    parameters: [
      ...parameters.map((parameter) => ({
        name: parameter.name,
        in: parameter.in,
        description: parameter.description,
        type: parameter.type,
        ...(parameter.in === "path" ? { required: true } : {}),
      })),
      ...(body === undefined
        ? []
        : [{ name: "body", in: "body", ...(isDeletion ? {} : { required: true }), schema: schema(body.schema) }]),
    ],
    responses: {
      [answer.code]: { description: answer.code === 201 ? "Created" : "OK", schema: schema(answer.schema) },
      "401": { description: "Unauthorized" },
    },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": groupVersionKind(definition),
  };
}

/** What v2 has no word for; a client of it would read it wrongly, or not at all. */
const NOT_V2 = new Set(["allOf", "anyOf", "oneOf", "not", "nullable"]);

function asV2(schema: JsonObject): JsonObject {
  const { description } = schema;
  const told = description === undefined ? {} : { description };
  const target = referenceOf(schema);
  if (target !== undefined) return { ...told, $ref: target.replace(V3_ROOT, V2_ROOT) };
  if (schema["x-kubernetes-int-or-string"] === true) {
    return { ...told, type: "string", format: "int-or-string", "x-kubernetes-int-or-string": true };
  }
  const open = schema["x-kubernetes-preserve-unknown-fields"] === true;
  const entries = Object.entries(schema).flatMap(([key, value]): [string, unknown][] => {
    if (NOT_V2.has(key)) return [];
    switch (key) {
      case "properties":
        return open ? [] : [[key, mapped(value)]];
      case "items":
      case "additionalProperties":
        if (open && key === "items") return [[key, {}]];
        return [[key, isJsonObject(value) ? asV2(value) : value]];
      case "required":
        return open ? [] : [[key, value]];
      default:
        return [[key, value]];
    }
  });
  return Object.fromEntries(entries);
}

function referenceOf({ $ref, allOf }: JsonObject): string | undefined {
  if (typeof $ref === "string") return $ref;
  const [only] = Array.isArray(allOf) && allOf.length === 1 ? allOf : [];
  return isJsonObject(only) && typeof only["$ref"] === "string" ? only["$ref"] : undefined;
}

function mapped(properties: unknown): JsonObject {
  if (!isJsonObject(properties)) return {};
  return Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, isJsonObject(field) ? asV2(field) : {}]),
  );
}

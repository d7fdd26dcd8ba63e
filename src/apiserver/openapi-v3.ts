import { apiVersionOf, type Catalog } from "./catalog.ts";
import { type ApiOperation, type ApiParameter, apiOperations } from "./openapi-paths.ts";
import { groupVersionKind, openApiSchemas, V3_ROOT } from "./openapi-schemas.ts";

/** The versions of groups that have a document of their own, as the index names them: `api/v1`, `apis/GROUP/VERSION`. */
export function openApiV3Parts(catalog: Catalog): readonly string[] {
  return catalog.groups.flatMap(({ name, versions }) =>
    versions.map((version) => (name === "" ? `api/${version}` : `apis/${name}/${version}`)),
  );
}

/** The OpenAPI v3 document of one version of a group. */
export function openApiV3Document(catalog: Catalog, part: string, title: string, version: string): object {
  const definitions = catalog.definitions.filter((definition) => partOf(apiVersionOf(definition)) === part);
  const paths = Map.groupBy(apiOperations(definitions), ({ path }) => path);
  return {
    openapi: "3.0.0",
    info: { title, version },
    paths: Object.fromEntries(
      [...paths].map(([path, operations]) => [
        `${path}`,
        Object.fromEntries(operations.map((operation) => [operation.method, described(operation)])),
      ]),
    ),
    components: {
      schemas: openApiSchemas(definitions),
      securitySchemes: { BearerToken: { type: "http", scheme: "bearer" } },
    },
    security: [{ BearerToken: [] }],
  };
}

function partOf(apiVersion: string): string {
  return apiVersion.includes("/") ? `apis/${apiVersion}` : `api/${apiVersion}`;
}

function described({ id, description, action, definition, parameters, body, answer }: ApiOperation): object {
  const schema = (name: string) => ({ $ref: `${V3_ROOT}${name}` });
  return {
    operationId: id,
    description,
    parameters: parameters.map(parameter),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            ...(action === "delete" || action === "deletecollection" ? {} : { required: true }),
            content: Object.fromEntries(body.types.map((type) => [type, { schema: schema(body.schema) }])),
          },
        }),
    responses: {
      [answer.code]: {
        description: answer.code === 201 ? "Created" : "OK",
        content: { "application/json": { schema: schema(answer.schema) } },
      },
      "401": { description: "Unauthorized" },
    },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": groupVersionKind(definition),
  };
}

function parameter({ name, in: place, type, description }: ApiParameter): object {
  return { name, in: place, description, ...(place === "path" ? { required: true } : {}), schema: { type } };
}

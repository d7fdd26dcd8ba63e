import type { ResourceDefinition } from "../model/api/resource.ts";
import type { Catalog } from "./catalog.ts";
import { writeMessage } from "./protobuf.ts";

const TITLE = "Patchbay";

/**
 * The OpenAPI v2 document: for every kind its paths and that a patch takes `dryRun`, which is what kubectl up to 1.26
 * asks it before a server-side dry run. It has no definitions of types: unknown fields are the server's to report.
 */
export function openApiV2Json(catalog: Catalog, version: string): object {
  const parameter = { name: DRY_RUN.name, in: DRY_RUN.in, type: DRY_RUN.type, uniqueItems: true };
  const paths = catalog.definitions.map((definition) => [
    objectPath(definition),
    {
      patch: {
        operationId: operationId(definition),
        parameters: [parameter],
        responses: { "200": { description: "OK" } },
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": groupVersionKind(definition),
      },
    },
  ]);
  return { swagger: "2.0", info: { title: TITLE, version }, paths: Object.fromEntries(paths), definitions: {} };
}

/** The same as a message `openapi.v2.Document` (gnostic's openapiv2/OpenAPIv2.proto). */
export function openApiV2Protobuf(catalog: Catalog, version: string): Uint8Array {
  const subSchema = writeMessage([
    [2, DRY_RUN.in],
    [4, DRY_RUN.name],
    [6, DRY_RUN.type],
  ]);
  // ParametersItem.parameter, Parameter.non_body_parameter, NonBodyParameter.query_parameter_sub_schema
  const parameter = writeMessage([[1, writeMessage([[2, writeMessage([[3, subSchema]])]])]]);
  const paths = catalog.definitions.map((definition) => {
    const kind = writeMessage([
      [1, "x-kubernetes-group-version-kind"],
      [2, writeMessage([[2, `${JSON.stringify(groupVersionKind(definition))}\n`]])],
    ]);
    const operation = writeMessage([
      [5, operationId(definition)],
      [8, parameter],
      [13, kind],
    ]);
    return writeMessage([
      [1, objectPath(definition)],
      [2, writeMessage([[8, operation]])],
    ]);
  });
  return writeMessage([
    [1, "2.0"],
    [
      2,
      writeMessage([
        [1, TITLE],
        [2, version],
      ]),
    ],
    [8, writeMessage(paths.map((path) => [2, path]))],
  ]);
}

const DRY_RUN = { name: "dryRun", in: "query", type: "string" };

function objectPath({ group, version, plural, namespaced }: ResourceDefinition): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return `${root}${namespaced ? "/namespaces/{namespace}" : ""}/${plural}/{name}`;
}

function operationId({ group, version, kind, namespaced }: ResourceDefinition): string {
  return `patch_${group === "" ? "core" : group}_${version}${namespaced ? "_namespaced" : ""}_${kind}`;
}

function groupVersionKind({ group, version, kind }: ResourceDefinition): object {
  return { group, version, kind };
}

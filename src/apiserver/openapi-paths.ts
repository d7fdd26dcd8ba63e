import type { ResourceDefinition } from "../model/api/resource.ts";
import { isNamespaceResource } from "./namespaces.ts";
import { DELETE_OPTIONS_NAME, listName, PATCH_NAME, STATUS_NAME, schemaName } from "./openapi-schemas.ts";
import { patchTypes } from "./patches.ts";

/** One call of the API, as both versions of OpenAPI describe it. */
export interface ApiOperation {
  readonly path: string;
  readonly method: "get" | "put" | "post" | "delete" | "patch";
  readonly id: string;
  readonly description: string;
  /** Kubernetes' word for what is done. */
  readonly action: "get" | "list" | "post" | "put" | "patch" | "delete" | "deletecollection";
  readonly definition: ResourceDefinition;
  readonly parameters: readonly ApiParameter[];
  /** What is sent: the name of its schema and the media types that are taken. */
  readonly body?: { readonly schema: string; readonly types: readonly string[] };
  /** Name of the schema of what is answered, and the HTTP status. */
  readonly answer: { readonly schema: string; readonly code: number };
}

export interface ApiParameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly type: "string" | "integer" | "boolean";
  readonly description: string;
}

const query = (name: string, description: string, type: ApiParameter["type"] = "string"): ApiParameter => ({
  name,
  in: "query",
  type,
  description,
});

const NAME: ApiParameter = { name: "name", in: "path", type: "string", description: "Name of the object." };
const NAMESPACE: ApiParameter = {
  name: "namespace",
  in: "path",
  type: "string",
  description: "Namespace of the object.",
};

/** Which objects of a collection. */
const SELECTION = [
  query("labelSelector", "Which objects, by their labels."),
  query("fieldSelector", "Which objects, by their fields."),
  query("limit", "At most so many objects a page.", "integer"),
  query("continue", "Token of the page before."),
  query("resourceVersion", "Version that the answer must have reached."),
  query("resourceVersionMatch", "`NotOlderThan` or `Exact`."),
];
const LISTING = [
  ...SELECTION,
  query("watch", "True: a stream of changes.", "boolean"),
  query("allowWatchBookmarks", "True: the stream tells how far it is.", "boolean"),
  query("sendInitialEvents", "True: the stream begins with what is there.", "boolean"),
  query("timeoutSeconds", "The stream's longest time.", "integer"),
];
const DRY_RUN = query("dryRun", "`All`: answer and store nothing.");
const WRITING = [
  DRY_RUN,
  query("fieldManager", "Name of the program that writes."),
  query("fieldValidation", "`Strict`, `Warn` or `Ignore`: what an unknown field leads to."),
];
const DELETION = [
  DRY_RUN,
  query("gracePeriodSeconds", "Seconds that the object is left.", "integer"),
  query("propagationPolicy", "`Background`, `Foreground` or `Orphan`."),
];

const WHOLE_TYPES = ["application/json", "application/yaml"];

/** Every call that these resources take. */
export function apiOperations(definitions: readonly ResourceDefinition[]): readonly ApiOperation[] {
  return definitions.flatMap(operationsOf);
}

function operationsOf(definition: ResourceDefinition): ApiOperation[] {
  const { group, version, kind, plural, namespaced, statusSubresource } = definition;
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const everywhere = `${root}/${plural}`;
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : everywhere;
  const place = namespaced ? [NAMESPACE] : [];
  const scope = namespaced ? "Namespaced" : "";
  const tail = `${pascal(group === "" ? "core" : (group.split(".")[0] ?? ""))}${pascal(version)}`;
  const own = schemaName(definition);
  const whole = { schema: own, types: WHOLE_TYPES };
  const id = (verb: string, what: string) => `${verb}${tail}${what}`;

  const object = (path: string, part: string): ApiOperation[] => {
    const shared = { path, definition, answer: { schema: own, code: 200 } };
    const parameters = [...place, NAME];
    const named = part === "" ? "" : ` (its ${part.toLowerCase()})`;
    return [
      {
        ...shared,
        method: "get",
        action: "get",
        id: id("read", `${scope}${kind}${part}`),
        description: `Reads one ${kind}${named}.`,
        parameters,
      },
      {
        ...shared,
        method: "put",
        action: "put",
        id: id("replace", `${scope}${kind}${part}`),
        description: `Replaces one ${kind}${named}.`,
        parameters: [...parameters, ...WRITING],
        body: whole,
      },
      {
        ...shared,
        method: "patch",
        action: "patch",
        id: id("patch", `${scope}${kind}${part}`),
        description: `Changes one ${kind}${named}.`,
        parameters: [
          ...parameters,
          ...WRITING,
          query("force", "Server-side apply: takes fields over that others own.", "boolean"),
        ],
        body: { schema: PATCH_NAME, types: patchTypes(definition) },
      },
    ];
  };

  const listing = { schema: listName(definition), code: 200 };
  return [
    {
      path: collection,
      method: "get",
      action: "list",
      id: id("list", `${scope}${kind}`),
      description: `Lists or watches ${kind} objects.`,
      definition,
      parameters: [...place, ...LISTING],
      answer: listing,
    },
    ...(namespaced
      ? [
          {
            path: everywhere,
            method: "get",
            action: "list",
            id: id("list", `${kind}ForAllNamespaces`),
            description: `Lists or watches ${kind} objects of all namespaces.`,
            definition,
            parameters: LISTING,
            answer: listing,
          } as const,
        ]
      : []),
    {
      path: collection,
      method: "post",
      action: "post",
      id: id("create", `${scope}${kind}`),
      description: `Stores a new ${kind}.`,
      definition,
      parameters: [...place, ...WRITING],
      body: whole,
      answer: { schema: own, code: 201 },
    },
    ...(isNamespaceResource(definition)
      ? []
      : [
          {
            path: collection,
            method: "delete",
            action: "deletecollection",
            id: id("delete", `Collection${scope}${kind}`),
            description: `Deletes the ${kind} objects of a selection.`,
            definition,
            parameters: [...place, ...SELECTION, ...DELETION],
            body: { schema: DELETE_OPTIONS_NAME, types: WHOLE_TYPES },
            answer: { schema: STATUS_NAME, code: 200 },
          } as const,
        ]),
    ...object(`${collection}/{name}`, ""),
    {
      path: `${collection}/{name}`,
      method: "delete",
      action: "delete",
      id: id("delete", `${scope}${kind}`),
      description: `Deletes one ${kind}.`,
      definition,
      parameters: [...place, NAME, ...DELETION],
      body: { schema: DELETE_OPTIONS_NAME, types: WHOLE_TYPES },
      answer: { schema: STATUS_NAME, code: 200 },
    },
    ...(statusSubresource ? object(`${collection}/{name}/status`, "Status") : []),
  ];
}

function pascal(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

import { conditionsByType } from "./conditions.ts";
import { metadata } from "./metadata.ts";
import { anyObject, flag, list, object, type Static, text, whole, word } from "./schema.ts";

const names = object(
  "What the kind is called; in the status, the names that are in use.",
  {
    kind: text("Kind of its objects, in CamelCase."),
    plural: text("Name in paths and commands, in lower case; the first part of the definition's own name."),
  },
  {
    singular: text("One of them, in lower case. Default: the kind in lower case."),
    listKind: text("Kind of a list of them. Default: the kind with `List` behind it."),
    shortNames: list("Shorter names for commands.", text("Lower case.")),
    categories: list("Groups of kinds that commands know, such as `all`.", text("Name of one.")),
  },
);

const column = object(
  "A column of `kubectl get`.",
  {
    name: text("Title of the column."),
    type: word("What its cells are.", ["boolean", "date", "integer", "number", "string"]),
    jsonPath: text("Where the value stands in an object: `.status.phase`."),
  },
  {
    description: text("What the column tells."),
    format: text("Format of the value."),
    priority: whole("Above 0: shown with `-o wide` only. Default 0."),
  },
);

const version = object(
  "One version of the kind.",
  {
    name: text("Name in apiVersion: `v1`, `v1beta1`."),
    served: flag("True: clients can use the version."),
    storage: flag("True for the one version that objects are stored in."),
  },
  {
    schema: object(
      "What its objects look like; required.",
      {},
      {
        openAPIV3Schema: anyObject(
          "Structural OpenAPI v3 schema: what it does not name is dropped, and what it refuses cannot be stored.",
        ),
      },
    ),
    subresources: object(
      "Parts of an object that are written by themselves.",
      {},
      {
        status: anyObject("Present: `status` is written by its own path only."),
        scale: anyObject("Kept, and not served here."),
      },
    ),
    additionalPrinterColumns: list("Columns of `kubectl get`, after NAME. Default: the age.", column),
    selectableFields: list(
      "Fields for field selectors; here any field can be selected by.",
      object("A field.", { jsonPath: text("Where it stands: `.spec.colour`.") }, {}),
    ),
    deprecated: flag("True: clients of the version are warned. Default false."),
    deprecationWarning: text("What they are warned with. Default: a sentence of the API's."),
  },
);

/** A user's own kind of resource (apiextensions.k8s.io/v1). */
export const customResourceDefinition = object(
  "A kind of resource that is served beside the built-in ones.",
  {
    apiVersion: text("`apiextensions.k8s.io/v1`."),
    kind: text("`CustomResourceDefinition`."),
    spec: object(
      "The kind.",
      {
        group: text("Group of the kind, a domain; the definition's name is `<plural>.<group>`."),
        names,
        scope: word("Whether its objects lie in namespaces.", ["Cluster", "Namespaced"]),
        versions: list("Its versions: at least one, exactly one of them stored.", version),
      },
      {
        conversion: object(
          "How versions become one another.",
          {
            strategy: text("`None`: they differ in nothing but their name. Others are refused."),
          },
          { webhook: anyObject("Belongs to the strategy `Webhook`, which is refused.") },
        ),
        preserveUnknownFields: flag("Must be false; say it in the schema with x-kubernetes-preserve-unknown-fields."),
      },
    ),
  },
  {
    metadata,
    status: object(
      "The kind as it is served.",
      {},
      {
        conditions: conditionsByType,
        acceptedNames: names,
        storedVersions: list("Every version that objects were ever stored in.", text("Name of a version.")),
      },
    ),
  },
);

export type CustomResourceDefinition = Static<typeof customResourceDefinition>;
export type CrdNames = CustomResourceDefinition["spec"]["names"];
export type CrdVersion = CustomResourceDefinition["spec"]["versions"][number];
export type CrdStatus = NonNullable<CustomResourceDefinition["status"]>;

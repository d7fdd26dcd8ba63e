import type { JsonObject } from "../json.ts";

/** A JSON Schema (draft 2020-12 subset) that is also a structural OpenAPI v3 schema: no `$ref`, no `oneOf` over types. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** All that the API machinery knows of a kind of resource: data, so that it knows none by name. */
export interface ResourceDefinition {
  /** Empty for core Kubernetes. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  /** Kind of a list of them. Default: the kind with `List` behind it. */
  readonly listKind?: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** With a `status` subresource, a write to the resource leaves `status` alone and the other way round. */
  readonly statusSubresource: boolean;
  /** False: its objects have no `metadata.generation`, as Kubernetes' own have none that hold data or that no program acts on. */
  readonly countsChanges?: false;
  /** True: a PUT may leave the resourceVersion out and replaces whatever is there, as of most of Kubernetes' own kinds. */
  readonly unconditionalUpdate?: boolean;
  /** True: a PUT that names no resourceVersion makes the object where there is none. */
  readonly createdByUpdate?: true;
  /** Seconds from the deletion of an object to its end, and what the deletion asks for; absent: its kind has no such time. */
  readonly grace?: (object: JsonObject, asked: number | undefined) => number;
  /** What is kept of an object that conforms to the schema; owners are told of the fields of that. Absent: all of it. */
  readonly decode?: (object: KubeObject) => KubeObject;
  /** Absent: any object is taken as it is. */
  readonly schema?: JsonSchema;
  /** The CustomResourceDefinition that made the kind, where a user's did. */
  readonly definedBy?: string;
  /** What clients of this version are warned with, where they should use another one. */
  readonly deprecation?: string;
  /** What `kubectl get` shows, after NAME. */
  readonly columns: readonly PrinterColumn[];
}

export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  /** As in a CustomResourceDefinition: `.status.phase`. */
  readonly jsonPath: string;
  readonly description: string;
  /** Above 0: shown with `-o wide` only. */
  readonly priority: number;
  /** What stands in the cell, where no path leads to it; for Kubernetes' own kinds. */
  readonly cell?: (object: JsonObject) => string | number;
}

/** The least that every object of the API has. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly unknown[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

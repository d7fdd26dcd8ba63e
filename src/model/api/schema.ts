import type { JsonSchema } from "./resource.ts";

declare const VALUE: unique symbol;

/** A JSON Schema that also carries, for the compiler only, the type of the values it takes. */
export interface Schema<T> extends JsonSchema {
  readonly [VALUE]?: T;
}

/** The TypeScript type of the values that a schema takes. */
export type Static<S> = S extends Schema<infer T> ? T : never;

/** Fields of an object by name. */
export type Fields = Readonly<Record<string, Schema<unknown>>>;

type Values<Required extends Fields, Optional extends Fields> = {
  readonly [K in keyof Required]: Static<Required[K]>;
} & { readonly [K in keyof Optional]?: Static<Optional[K]> };

type Flat<T> = { [K in keyof T]: T[K] };

/** An object that holds these fields and no others. */
export function object<Required extends Fields, Optional extends Fields>(
  description: string,
  required: Required,
  optional: Optional,
): Schema<Flat<Values<Required, Optional>>> {
  const names = Object.keys(required);
  return {
    type: "object",
    description,
    ...(names.length === 0 ? {} : { required: names }),
    properties: { ...required, ...optional },
  };
}

/** An object whose named fields are checked and which may hold any others. */
export function openObject<Optional extends Fields>(
  description: string,
  optional: Optional,
): Schema<Flat<Values<Record<never, never>, Optional>> & { readonly [field: string]: unknown }> {
  return { type: "object", description, properties: optional, "x-kubernetes-preserve-unknown-fields": true };
}

/** An object of any content. */
export function anyObject(description: string): Schema<Readonly<Record<string, unknown>>> {
  return { type: "object", description, "x-kubernetes-preserve-unknown-fields": true };
}

/** An object without fields: that it is there is all it says. */
export function marker(description: string): Schema<Readonly<Record<never, never>>> {
  return { type: "object", description, properties: {} };
}

export function list<T>(description: string, items: Schema<T>): Schema<readonly T[]> {
  return { type: "array", description, items };
}

/** The list as one that server-side apply merges element by element, told apart by these fields. */
export function keyed<T>(list: Schema<readonly T[]>, ...keys: readonly string[]): Schema<readonly T[]> {
  return { ...list, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys };
}

/** The list of plain values as a set: server-side apply merges it value by value. */
export function asSet<T>(list: Schema<readonly T[]>): Schema<readonly T[]> {
  return { ...list, "x-kubernetes-list-type": "set" };
}

/** The object as one that server-side apply owns and replaces as a whole. */
export function atomic<T>(object: Schema<T>): Schema<T> {
  return { ...object, "x-kubernetes-map-type": "atomic" };
}

export function map<T>(description: string, values: Schema<T>): Schema<Readonly<Record<string, T>>> {
  return { type: "object", description, additionalProperties: values };
}

export function text(description: string): Schema<string> {
  return { type: "string", description };
}

/** One of these words. */
export function word<const T extends string>(description: string, words: readonly T[]): Schema<T> {
  return { type: "string", description, enum: words };
}

export function flag(description: string): Schema<boolean> {
  return { type: "boolean", description };
}

/** A whole number: of 32 or 64 bits with sign, or of 32 or 64 bits without. */
export function whole(description: string, format: "int32" | "int64" | "uint32" | "uint64" = "int32"): Schema<number> {
  switch (format) {
    case "uint32":
      return { type: "integer", description, format: "int64", minimum: 0, maximum: 0xffffffff };
    case "uint64":
      return { type: "integer", description, format: "int64", minimum: 0 };
    default:
      return { type: "integer", description, format };
  }
}

/** A number of bytes, cores or the like with Kubernetes' suffixes: `64Mi`, `1.5G`, `500m`. */
export function quantity(description: string): Schema<string | number> {
  return {
    description,
    anyOf: [{ type: "integer" }, { type: "string" }],
    "x-kubernetes-int-or-string": true,
    // No amount needs as many, and arithmetic with thousands of digits takes its time.
    maxLength: 64,
    // What Kubernetes' own quantities have in a CustomResourceDefinition.
    pattern:
      "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$",
  };
}

/** A number of 32 bits or a name, as ports of probes are. */
export function intOrText(description: string): Schema<string | number> {
  return {
    description,
    anyOf: [{ type: "integer" }, { type: "string" }],
    "x-kubernetes-int-or-string": true,
    minimum: -(2 ** 31),
    maximum: 2 ** 31 - 1,
  };
}

/** A moment in RFC 3339. Programs that write manifests leave `null` where there is none. */
export function timestamp(description: string): Schema<string> {
  return { type: "string", description, format: "date-time", nullable: true };
}

/** A value of any type. */
export function anything(description: string): Schema<unknown> {
  return { description, "x-kubernetes-preserve-unknown-fields": true };
}

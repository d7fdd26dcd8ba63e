import { isJsonObject, type JsonObject, objectAt } from "../model/json.ts";
import { type WritableField, writeMessage } from "./protobuf.ts";

/**
 * An OpenAPI v2 document as a message `openapi.v2.Document` (gnostic's openapiv2/OpenAPIv2.proto), which clients in Go
 * ask for. Written are the parts that documents of this server have.
 */
export function openApiV2Protobuf(document: JsonObject): Uint8Array {
  const info = objectAt(document, "info");
  return writeMessage([
    ...texts(document, { swagger: 1 }),
    [2, writeMessage(texts(info, { title: 1, version: 2 }))],
    [8, writeMessage(entries(document["paths"]).map(([path, item]) => [2, named(path, pathItem(item))]))],
    [9, namedList(document["definitions"], schemaMessage)],
  ]);
}

const METHODS: Readonly<Record<string, number>> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

function pathItem(item: JsonObject): Uint8Array {
  return writeMessage(
    entries(item).flatMap(([method, operation]): WritableField[] => {
      const number = METHODS[method];
      return number === undefined ? [] : [[number, operationMessage(operation)]];
    }),
  );
}

function operationMessage(operation: JsonObject): Uint8Array {
  return writeMessage([
    ...texts(operation, { description: 3, operationId: 5, produces: 6, consumes: 7 }),
    ...listOf(operation["parameters"]).map((parameter): WritableField => [8, parameterMessage(parameter)]),
    [
      9,
      writeMessage(
        entries(operation["responses"]).map(([code, response]) => [
          1,
          named(code, writeMessage([[1, responseOf(response)]])),
        ]),
      ),
    ],
    ...extensions(operation, 13),
  ]);
}

/** ParametersItem.parameter of a body, or of a query's or path's sub-schema. */
function parameterMessage(parameter: JsonObject): Uint8Array {
  const required: WritableField[] = parameter["required"] === true ? [[4, true]] : [];
  if (parameter["in"] === "body") {
    const body = writeMessage([
      ...texts(parameter, { description: 1, name: 2, in: 3 }),
      ...required,
      [5, schemaMessage(objectAt(parameter, "schema"))],
    ]);
    return writeMessage([[1, writeMessage([[1, body]])]]);
  }
  const inPath = parameter["in"] === "path";
  const subSchema = writeMessage([
    ...(parameter["required"] === true ? ([[1, true]] as const) : []),
    ...texts(parameter, { in: 2, description: 3, name: 4, type: inPath ? 5 : 6 }),
  ]);
  return writeMessage([[1, writeMessage([[2, writeMessage([[inPath ? 4 : 3, subSchema]])]])]]);
}

function responseOf(response: JsonObject): Uint8Array {
  const schema = response["schema"];
  return writeMessage([
    ...texts(response, { description: 1 }),
    ...(isJsonObject(schema) ? ([[2, writeMessage([[1, schemaMessage(schema)]])]] as const) : []),
  ]);
}

function schemaMessage(schema: JsonObject): Uint8Array {
  const { additionalProperties, items, properties, type, enum: words, default: standard } = schema;
  return writeMessage([
    ...texts(schema, { $ref: 1, format: 2, title: 3, description: 4 }),
    ...(standard === undefined ? [] : ([[5, any(standard)]] as const)),
    ...doubles(schema, { multipleOf: 6, maximum: 7 }),
    ...flags(schema, { exclusiveMaximum: 8 }),
    ...doubles(schema, { minimum: 9 }),
    ...flags(schema, { exclusiveMinimum: 10 }),
    ...wholes(schema, { maxLength: 11, minLength: 12 }),
    ...texts(schema, { pattern: 13 }),
    ...wholes(schema, { maxItems: 14, minItems: 15, maxProperties: 17, minProperties: 18 }),
    ...texts(schema, { required: 19 }),
    ...(Array.isArray(words) ? words.map((word): WritableField => [20, any(word)]) : []),
    ...(isJsonObject(additionalProperties)
      ? ([[21, writeMessage([[1, schemaMessage(additionalProperties)]])]] as const)
      : typeof additionalProperties === "boolean"
        ? ([[21, writeMessage([[2, additionalProperties]])]] as const)
        : []),
    ...(typeof type === "string" ? ([[22, writeMessage([[1, type]])]] as const) : []),
    ...(isJsonObject(items) ? ([[23, writeMessage([[1, schemaMessage(items)]])]] as const) : []),
    ...(isJsonObject(properties) ? ([[25, namedList(properties, schemaMessage)]] as const) : []),
    ...extensions(schema, 31),
  ]);
}

/** Fields `x-…` as NamedAny; JSON is YAML. */
function extensions(object: JsonObject, number: number): WritableField[] {
  return Object.entries(object)
    .filter(([key]) => key.startsWith("x-"))
    .map(([key, value]) => [number, named(key, any(value))]);
}

/** Any.yaml. */
function any(value: unknown): Uint8Array {
  return writeMessage([[2, `${JSON.stringify(value)}\n`]]);
}

/** The messages Named…: name (1) and value (2). */
function named(name: string, value: Uint8Array): Uint8Array {
  return writeMessage([
    [1, name],
    [2, value],
  ]);
}

function namedList(object: unknown, write: (value: JsonObject) => Uint8Array): Uint8Array {
  return writeMessage(entries(object).map(([name, value]) => [1, named(name, write(value))]));
}

function entries(object: unknown): [string, JsonObject][] {
  return isJsonObject(object)
    ? Object.entries(object).filter((entry): entry is [string, JsonObject] => isJsonObject(entry[1]))
    : [];
}

function listOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

type Numbers = Readonly<Record<string, number>>;

/** The texts among an object's fields, and the elements of its lists of texts. */
function texts(object: JsonObject, numbers: Numbers): WritableField[] {
  return Object.entries(numbers).flatMap(([key, number]) =>
    [object[key]]
      .flat()
      .filter((value): value is string => typeof value === "string")
      .map((value): WritableField => [number, value]),
  );
}

function doubles(object: JsonObject, numbers: Numbers): WritableField[] {
  return Object.entries(numbers).flatMap(([key, number]): WritableField[] => {
    const value = object[key];
    return typeof value === "number" ? [[number, value]] : [];
  });
}

function wholes(object: JsonObject, numbers: Numbers): WritableField[] {
  return Object.entries(numbers).flatMap(([key, number]): WritableField[] => {
    const value = object[key];
    return Number.isSafeInteger(value) && Number(value) >= 0 ? [[number, BigInt(Number(value))]] : [];
  });
}

function flags(object: JsonObject, numbers: Numbers): WritableField[] {
  return Object.entries(numbers).flatMap(([key, number]): WritableField[] => {
    const value = object[key];
    return typeof value === "boolean" ? [[number, value]] : [];
  });
}

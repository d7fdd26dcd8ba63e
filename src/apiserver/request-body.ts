import type { IncomingMessage } from "node:http";
import { LineCounter, parseDocument } from "yaml";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { duplicateKeys } from "../model/manifest/duplicate-keys.ts";
import { duplicateFields } from "./duplicate-fields.ts";
import { roundingIn } from "./exact-numbers.ts";
import { type JsonSurvey, surveyJson } from "./json.ts";
import { PROTOBUF, readProtobufObject } from "./protobuf-objects.ts";
import { badRequest, tooLarge, tooManyValues, unsupportedMediaType } from "./refusals.ts";

/** As kube-apiserver's limit. */
export const LARGEST_BODY = 3 * 1024 * 1024;
export const DEEPEST_NESTING = 100;
/** Each costs time several times over, in which nobody else is answered. The largest definitions of kinds have some 20,000. */
export const MOST_VALUES = 50_000;
/** Of a YAML document; more of them help nobody. */
const MOST_DUPLICATES = 100;

/** The media type of a request, without parameters and in lower case. */
export function mediaTypeOf(request: IncomingMessage): string {
  return (request.headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** A request's document. */
export interface BodyDocument {
  /** Undefined where there is none. Of fields that are named more than once, the last counts, as in Kubernetes. */
  readonly value: unknown;
  /** Those fields, in Kubernetes' words: `duplicate field "data.a"`, or of YAML `line 3: key "a" already set in map`. */
  readonly duplicates: readonly string[];
}

/** The value of {@link readDocument}. */
export async function readBody(request: IncomingMessage, mediaType: string = mediaTypeOf(request)): Promise<unknown> {
  return (await readDocument(request, mediaType)).value;
}

/** The options that a DELETE may have in its body; empty where there is none. */
export async function readOptionsBody(request: IncomingMessage): Promise<JsonObject> {
  const value = await readBody(request);
  if (value === undefined || value === null) return {};
  if (!isJsonObject(value)) throw badRequest("the body must be a DeleteOptions object");
  return value;
}

/**
 * Reads a request's JSON or YAML document, of `mediaType` in place of the one that it says.
 *
 * @throws ApiError 413 beyond {@link LARGEST_BODY} and {@link MOST_VALUES}, 415 for other forms, 400 for what cannot be read.
 */
export async function readDocument(
  request: IncomingMessage,
  mediaType: string = mediaTypeOf(request),
): Promise<BodyDocument> {
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw unsupportedMediaType(`the content encoding ${encoding} is not taken`);
  const bytes = await readBytes(request);
  if (bytes.length === 0) return { value: undefined, duplicates: [] };
  if (mediaType === PROTOBUF) {
    const value = readProtobufObject(bytes);
    requireHandy(value);
    return { value, duplicates: [] };
  }
  if (mediaType !== "" && !/^application\/(?:json|yaml|[a-z0-9.-]+\+(?:json|yaml))$/.test(mediaType)) {
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${PROTOBUF}`,
    );
  }
  const text = bytes.toString("utf8");
  // Clients send JSON as YAML, which it is; reading it as JSON is many times faster.
  const json = mediaType.endsWith("yaml") ? jsonIn(text) : { value: parseJson(text) };
  const document = json === undefined ? parseYaml(text) : { ...json, duplicates: undefined };
  const { value } = document;
  const { fields, rounds } = requireHandy(value);
  const rounding = rounds ? roundingIn(text, json === undefined ? "yaml" : "json") : undefined;
  if (rounding !== undefined) throw badRequest(`the body is refused: ${rounding}`);
  const { duplicates = duplicateFields(text, fields).map((path) => `duplicate field "${path}"`) } = document;
  return { value, duplicates };
}

/** @throws ApiError 400 or 413 where the document holds what nobody here is to go through. */
function requireHandy(value: unknown): JsonSurvey {
  const survey = surveyJson(value, DEEPEST_NESTING);
  const { hazard, values } = survey;
  if (hazard !== undefined) throw badRequest(`the body is refused: ${hazard}`);
  if (values > MOST_VALUES) throw tooManyValues(MOST_VALUES, values);
  return survey;
}

function readBytes(request: IncomingMessage): Promise<Buffer> {
  // Listeners cost a third of what iterating does.
  return new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"] ?? 0) > LARGEST_BODY) throw tooLarge(LARGEST_BODY);
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > LARGEST_BODY) {
        request.pause();
        reject(tooLarge(LARGEST_BODY));
        return;
      }
      chunks.push(chunk);
    });
    request.once("end", () =>
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)),
    );
    request.once("error", reject);
    request.once("close", () => {
      if (!request.complete) reject(badRequest("the request ended before its body did"));
    });
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw badRequest(`the body is not valid JSON: ${reasonOf(thrown)}`);
  }
}

/** The value of a text that is JSON; undefined where it is none. */
function jsonIn(text: string): { readonly value: unknown } | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    return { value: JSON.parse(text) };
  } catch {
    // It may still be YAML.
    return undefined;
  }
}

function parseYaml(text: string): BodyDocument {
  const lineCounter = new LineCounter();
  try {
    const document = parseDocument(text, { uniqueKeys: false, lineCounter });
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    const duplicates = duplicateKeys(document)
      .slice(0, MOST_DUPLICATES)
      .map(({ pos: [start, end] }) => {
        const { line } = lineCounter.linePos(start);
        return `line ${line}: key ${JSON.stringify(text.slice(start, end))} already set in map`;
      });
    return { value, duplicates };
  } catch (thrown) {
    throw badRequest(`the body is not valid YAML: ${reasonOf(thrown)}`);
  }
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

import type { IncomingMessage } from "node:http";
import { parseDocument } from "yaml";
import { duplicateKeys } from "../model/manifest/duplicate-keys.ts";
import { hazardOf } from "./json.ts";
import { PROTOBUF, readProtobufObject } from "./protobuf-objects.ts";
import { badRequest, tooLarge, unsupportedMediaType } from "./refusals.ts";

/** As kube-apiserver's limit. */
export const LARGEST_BODY = 3 * 1024 * 1024;
const DEEPEST_NESTING = 100;

/** The media type of a request, without parameters and in lower case. */
export function mediaTypeOf(request: IncomingMessage): string {
  return (request.headers["content-type"] ?? "application/json").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/**
 * Reads a request's JSON or YAML document, of `mediaType` in place of the one that it says; undefined where there is none.
 *
 * @throws ApiError 413 beyond {@link LARGEST_BODY}, 415 for other forms, 400 for what cannot be read.
 */
export async function readBody(request: IncomingMessage, mediaType: string = mediaTypeOf(request)): Promise<unknown> {
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw unsupportedMediaType(`the content encoding ${encoding} is not taken`);
  const bytes = await readBytes(request);
  if (bytes.length === 0) return undefined;
  if (mediaType === PROTOBUF) return readProtobufObject(bytes);
  if (mediaType !== "" && !/^application\/(?:json|yaml|[a-z0-9.-]+\+(?:json|yaml))$/.test(mediaType)) {
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${PROTOBUF}`,
    );
  }
  const text = bytes.toString("utf8");
  const value = mediaType.endsWith("yaml") ? parseYaml(text) : parseJson(text);
  const hazard = hazardOf(value, DEEPEST_NESTING);
  if (hazard !== undefined) throw badRequest(`the body is refused: ${hazard}`);
  return value;
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

function parseYaml(text: string): unknown {
  // Clients send JSON as YAML, which it is; reading it as JSON is many times faster.
  if (text.startsWith("{")) {
    try {
      return JSON.parse(text);
    } catch {
      // It may still be YAML.
    }
  }
  try {
    const document = parseDocument(text, { uniqueKeys: false });
    const [error] = document.errors.length > 0 ? document.errors : duplicateKeys(document);
    if (error !== undefined) throw error;
    return document.toJS({ maxAliasCount: 100 });
  } catch (thrown) {
    throw badRequest(`the body is not valid YAML: ${reasonOf(thrown)}`);
  }
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

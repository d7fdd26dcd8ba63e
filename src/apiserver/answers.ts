import type { ServerResponse } from "node:http";
import { ApiError, failure, type Status } from "../model/api/status.ts";
import { sentence } from "../model/fault.ts";

const JSON_TYPE = "application/json";
const LONGEST_WARNINGS = 4096;
/** Characters of one. */
const LONGEST_WARNING = 1_000;
/** A client that takes nothing of its answer for so long is cut off. */
const STALL_MS = 60_000;

/** Ends a response with a text, JSON unless the type says otherwise. */
export function answerText(
  response: ServerResponse,
  code: number,
  text: string | Uint8Array,
  warnings: readonly string[] = [],
  type = JSON_TYPE,
  headers: Readonly<Record<string, string>> = {},
): void {
  addWarnings(response, warnings);
  // Bytes: a text would be sent in one piece with the headers, and those re-encoded with it.
  const bytes = typeof text === "string" ? Buffer.from(isForEyes(response, text, type) ? indented(text) : text) : text;
  response.setTimeout(STALL_MS, () => response.destroy());
  response.writeHead(code, {
    "content-type": type,
    // Not Modified has no content, and the client's copy its own length.
    ...(code === 304 ? {} : { "content-length": bytes.length }),
    "cache-control": "no-cache, private",
    ...headers,
  });
  response.end(bytes);
}

/** Longer texts are not indented: nobody reads them, and all others would wait meanwhile. */
const LONGEST_INDENTED = 1024 * 1024;

/** True where `pretty` asks for it, or nothing does and the client is one that people look at (as kube-apiserver tells). */
function isForEyes({ req }: ServerResponse, text: string, type: string): boolean {
  if (type !== JSON_TYPE || text.length > LONGEST_INDENTED) return false;
  const { url = "" } = req;
  const asked = url.includes("pretty=") ? new URLSearchParams(url.slice(url.indexOf("?") + 1)).get("pretty") : null;
  if (asked !== null && asked !== "") return /^(?:1|t|true)$/i.test(asked);
  return /^(?:curl|Wget|Mozilla\/5\.0)/.test(req.headers["user-agent"] ?? "");
}

function indented(json: string): string {
  return JSON.stringify(JSON.parse(json), null, 2);
}

export function answerJson(
  response: ServerResponse,
  code: number,
  value: unknown,
  warnings: readonly string[] = [],
  type = JSON_TYPE,
): void {
  answerText(response, code, JSON.stringify(value), warnings, type);
}

/** Ends a response with a failure; the cure follows the sentence. */
export function answerError(response: ServerResponse, error: ApiError, warnings: readonly string[] = []): void {
  const status: Status = error.cure === undefined ? error.status : { ...error.status, message: sentence(error) };
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error.httpStatus === 401) response.setHeader("www-authenticate", "Bearer");
  const retry = error.status.details?.retryAfterSeconds;
  if (retry !== undefined) response.setHeader("retry-after", String(retry));
  answerJson(response, error.httpStatus, status, warnings);
}

/** What a defect looks like from outside: its text stays in the log. */
export function internalError(): ApiError {
  const message = "an error on the server prevented the request from succeeding; the daemon's log has the details";
  return new ApiError("PB6010", failure(500, "InternalError", message));
}

/** One `Warning: 299` header a sentence (RFC 7234 §5.5), each once; 4 KiB in all with those that are there already. */
export function addWarnings(response: ServerResponse, warnings: readonly string[]): void {
  if (warnings.length === 0) return;
  const held = response.getHeader("warning");
  const values = new Set(Array.isArray(held) ? held : []);
  let size = [...values].reduce((sum, value) => sum + value.length, 0);
  for (const value of warnings.map(warningValue)) {
    if (values.has(value)) continue;
    size += value.length;
    if (size > LONGEST_WARNINGS) break;
    values.add(value);
  }
  response.setHeader("warning", [...values]);
}

function warningValue(warning: string): string {
  const short = warning.length > LONGEST_WARNING ? `${warning.slice(0, LONGEST_WARNING)}…` : warning;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a header may not carry them
  const plain = short.replace(/[\u0000-\u001f\u007f]+/g, " ").replace(/["\\]/g, "\\$&");
  // Headers are bytes; clients read these as UTF-8.
  return `299 - "${Buffer.from(plain, "utf8").toString("latin1")}"`;
}

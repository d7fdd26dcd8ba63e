import { type IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { type ApiError, isApiError } from "../model/api/status.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { answerError, answerJson, answerText, internalError } from "./answers.ts";
import type { UpgradeVisit } from "./door.ts";
import { noteDryRun } from "./dry-runs.ts";
import { badRequest, methodNotAllowed, noSuchResource } from "./refusals.ts";
import { mediaTypeOf, readBody } from "./request-body.ts";
import { answerPieces } from "./text-stream.ts";
import { readHandshake, serveWebSocket, type WebSocketSession } from "./websocket.ts";
import { closeCodes } from "./websocket-frames.ts";

/** One call of a subresource. */
export interface SubresourceCall {
  readonly namespace: string;
  readonly name: string;
  readonly user: string;
  /** Empty where none was sent. */
  readonly body: JsonObject;
  /** What stands behind the subresource in the path; nothing unless it {@link Place.takes} something. */
  readonly path: readonly string[];
}

/** A call for a text. */
export interface TextCall extends SubresourceCall {
  /** What stood behind the `?`. */
  readonly query: URLSearchParams;
  /** Aborted once nobody reads on: the text is to end then. */
  readonly signal: AbortSignal;
}

/**
 * Where a subresource is found: `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE`, of the core group
 * `/api/VERSION/…`.
 */
interface Place {
  /** Empty: the core group. */
  readonly group: string;
  /** The first is preferred. */
  readonly versions: readonly string[];
  readonly plural: string;
  readonly subresource: string;
  /** How many further parts its path may have, such as a port; none. */
  readonly takes?: number;
}

/** Something that is done to an object by PUT. Throws ApiError to refuse. */
export interface ActionSubresource extends Place {
  readonly verb: "update";
  /** HTTP status of a success, which has no body. */
  readonly answers: 200 | 202;
  act(call: SubresourceCall): Promise<void>;
}

/** Bytes to and from an object, by websocket. Throws ApiError to refuse. */
export interface StreamSubresource extends Place {
  readonly verb: "get";
  /** Websocket protocols that clients may ask for. */
  readonly protocols: readonly string[];
  open(call: SubresourceCall): Promise<Duplex>;
}

/** Something to read of an object, as JSON. Throws ApiError to refuse. */
export interface DocumentSubresource extends Place {
  readonly verb: "get";
  read(call: SubresourceCall): Promise<JsonObject>;
}

/** Plain text of an object, piece by piece as it comes and as the client takes it. Throws ApiError to refuse. */
export interface TextSubresource extends Place {
  readonly verb: "get";
  text(call: TextCall): Promise<AsyncIterable<Uint8Array>>;
}

/** A call that clients know and that is not carried out here; discovery does not tell it. */
export interface RefusedSubresource extends Place {
  readonly verb: "none";
  refusal(call: SubresourceCall): ApiError;
}

/** A call below an object that is no write of it. Who knows the kind registers it with the server. */
export type Subresource =
  | ActionSubresource
  | StreamSubresource
  | DocumentSubresource
  | TextSubresource
  | RefusedSubresource;

/** Something to read that is of no object: `/apis/GROUP/VERSION/NAME`. */
export interface GroupDocument {
  readonly group: string;
  readonly versions: readonly string[];
  readonly name: string;
  /** JSON. */
  readonly content: unknown;
}

const FORM = "application/x-www-form-urlencoded";

/** Answers calls of registered subresources. */
export interface SubresourceServer {
  /** Answers the request where its path is that of a subresource or document; false where it is not. */
  serve(request: IncomingMessage, response: ServerResponse, user: string): boolean;
  /** Answers a request to upgrade the connection, whatever its path. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array, visit: UpgradeVisit | ApiError): void;
  /** Ends the streams. */
  close(): Promise<void>;
}

export function makeSubresourceServer(
  subresources: readonly Subresource[],
  documents: readonly GroupDocument[],
  log: Logger,
): SubresourceServer {
  const sessions = new Set<WebSocketSession>();
  /** Texts that are being sent. */
  const texts = new Set<AbortController>();

  async function act(request: IncomingMessage, response: ServerResponse, user: string, found: Found): Promise<void> {
    const { subresource, ...of } = found;
    const call: SubresourceCall = { ...of, user, body: {} };
    if (subresource.verb === "none") throw subresource.refusal(call);
    if (subresource.verb === "get") {
      if (request.method !== "GET") throw methodNotAllowed();
      if ("read" in subresource) {
        answerJson(response, 200, await subresource.read(call));
        return;
      }
      if ("text" in subresource) {
        await send(request, response, subresource, call);
        return;
      }
      readHandshake(request, subresource.protocols);
      throw badRequest("the connection was not upgraded; a proxy between may not pass websockets on");
    }
    if (request.method !== "PUT") throw methodNotAllowed();
    const mediaType = mediaTypeOf(request);
    // What curl says of any body.
    const body = (await readBody(request, mediaType === FORM ? "application/json" : mediaType)) ?? {};
    if (!isJsonObject(body)) throw badRequest("the body must be an object with the options");
    const { dryRun } = body;
    if (Array.isArray(dryRun) && dryRun.includes("All")) noteDryRun(response);
    await subresource.act({ ...call, body });
    answerText(response, subresource.answers, "");
  }

  async function send(
    request: IncomingMessage,
    response: ServerResponse,
    subresource: TextSubresource,
    call: SubresourceCall,
  ): Promise<void> {
    const over = new AbortController();
    texts.add(over);
    const end = (): void => {
      texts.delete(over);
      over.abort();
    };
    response.once("close", end).on("error", end);
    const query = new URLSearchParams((request.url ?? "").replace(/^[^?]*/, ""));
    try {
      await answerPieces(response, await subresource.text({ ...call, query, signal: over.signal }));
    } finally {
      end();
    }
  }

  async function open(
    request: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    { user, answered }: UpgradeVisit,
  ): Promise<void> {
    const found = find(request);
    if (found === undefined) throw noSuchResource();
    const { subresource, ...of } = found;
    const call: SubresourceCall = { ...of, user, body: {} };
    if (subresource.verb === "none") throw subresource.refusal(call);
    if (!("open" in subresource)) throw methodNotAllowed();
    const handshake = readHandshake(request, subresource.protocols);
    const stream = await subresource.open(call);
    if (socket.destroyed) {
      stream.destroy();
      return;
    }
    answered(101);
    const session = serveWebSocket(socket, head, stream, handshake);
    sessions.add(session);
    void session.closed.then(() => sessions.delete(session));
  }

  function refuse(request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
    const known = isApiError(thrown);
    if (!known) log.error({ err: thrown, method: request.method, url: request.url }, "a request failed");
    if (!request.complete) response.setHeader("connection", "close");
    answerError(response, known ? thrown : internalError());
  }

  function find(request: IncomingMessage): Found | undefined {
    return findSubresource(subresources, pathOf(request));
  }

  return {
    serve(request, response, user) {
      const found = find(request);
      if (found === undefined) return serveDocument(documents, request, response);
      void act(request, response, user, found).catch((thrown: unknown) => refuse(request, response, thrown));
      return true;
    },
    upgrade(request, socket, head, visit) {
      socket.on("error", () => socket.destroy());
      const refused = (thrown: unknown): void => {
        const response = new ServerResponse(request);
        response.setHeader("connection", "close");
        response.assignSocket(socket as Parameters<typeof response.assignSocket>[0]);
        response.once("finish", () => socket.end());
        refuse(request, response, thrown);
      };
      if (isApiError(visit)) {
        refused(visit);
        return;
      }
      void open(request, socket, head, visit).catch((thrown: unknown) => {
        visit.answered(isApiError(thrown) ? thrown.httpStatus : 500);
        refused(thrown);
      });
    },
    async close() {
      for (const text of texts) text.abort();
      const ended = [...sessions].map((session) => {
        session.end(closeCodes.goingAway, "the server stops");
        return session.closed;
      });
      await Promise.all(ended);
    },
  };
}

function serveDocument(
  documents: readonly GroupDocument[],
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const path = pathOf(request);
  const document = documents.find(({ group, versions, name }) =>
    versions.some((version) => path === `/apis/${group}/${version}/${name}`),
  );
  if (document === undefined) return false;
  if (request.method === "GET" || request.method === "HEAD") {
    answerJson(response, 200, document.content);
  } else {
    // Its body is not read.
    response.setHeader("connection", "close");
    answerError(response, methodNotAllowed());
  }
  return true;
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").replace(/\?.*$/s, "");
}

interface Found {
  readonly subresource: Subresource;
  readonly namespace: string;
  readonly name: string;
  readonly path: readonly string[];
}

function findSubresource(subresources: readonly Subresource[], path: string): Found | undefined {
  const [root, ...below] = path.split("/").filter((segment) => segment !== "");
  if (root !== "api" && root !== "apis") return undefined;
  const [group, version, namespaces, ...rest] = root === "api" ? ["", ...below] : below;
  const [namespace, plural, name, called, ...more] = rest;
  if (namespaces !== "namespaces") return undefined;
  if (version === undefined || namespace === undefined || name === undefined) return undefined;
  const subresource = subresources.find(
    (candidate) =>
      candidate.group === group &&
      candidate.versions.includes(version) &&
      candidate.plural === plural &&
      candidate.subresource === called &&
      more.length <= (candidate.takes ?? 0),
  );
  if (subresource === undefined) return undefined;
  return { subresource, namespace: decoded(namespace), name: decoded(name), path: more.map(decoded) };
}

/** What cannot be decoded is no name, and is not found by it. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

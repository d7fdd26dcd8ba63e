import { randomInt } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { isJsonObject, type JsonObject } from "../model/json.ts";
import { addWarnings, answerError, answerJson, answerText, internalError } from "./answers.ts";
import { apiVersionOf, listKindOf } from "./catalog.ts";
import { deleteObject } from "./deletes.ts";
import { serveDocument } from "./documents.ts";
import { judgeDuplicates } from "./field-validation.ts";
import type { FieldValidation, Machinery, ObjectIdentity } from "./machinery.ts";
import { isApply, namesRevision, readPatch } from "./patches.ts";
import {
  flagParameter,
  parameter,
  readDeleteOptions,
  readForce,
  readListOptions,
  readWriteOptions,
  wholeParameter,
} from "./query.ts";
import { readList, readOne, readRevision, revisionOf } from "./reads.ts";
import { warningsOf } from "./refusal-warnings.ts";
import { badRequest, expired, methodNotAllowed } from "./refusals.ts";
import { chooseRepresentation, type Representation, readAccept, readIncludeObject } from "./representation.ts";
import { mediaTypeOf, readBody, readDocument } from "./request-body.ts";
import { type Route, readRoute } from "./route.ts";
import { readSelection } from "./selectors.ts";
import { parseStored } from "./serving.ts";
import { makeTablePrinter, partialMetadata, type TablePrinter } from "./table.ts";
import { asItIs, type WatchHub } from "./watch.ts";
import { applyObject, changeObject, createObject } from "./writes.ts";

/** Answers requests that were authenticated as `user`. Never rejects; settles with what one object's write was of. */
export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  user: string,
) => Promise<ObjectIdentity | undefined>;

type ResourceRoute = Extract<Route, { to: "resource" }>;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly user: string;
  readonly form: Representation;
}

/** Watches without a timeout of their own (0 is none) end after half an hour to an hour, as kube-apiserver's do. */
const WATCH_SECONDS = 1_800;
const DELETE_TOGETHER = 64;

export function makeHandler(machinery: Machinery, hub: WatchHub): Handler {
  const { catalog, store, log } = machinery;
  const printers = new WeakMap<ResourceDefinition, TablePrinter>();

  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    user: string,
  ): Promise<ObjectIdentity | undefined> {
    const { path, query } = targetOf(request);
    const route = readRoute(catalog, path);
    const accept = readAccept(request.headers.accept);
    if (route.to === "document") {
      if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed();
      const hash = query.get("hash");
      const ifNoneMatch = request.headers["if-none-match"];
      const document = serveDocument(catalog, {
        path: route.path,
        accept,
        ...(hash === null ? {} : { hash }),
        ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
      });
      answerText(response, document.code ?? 200, document.content, [], document.type, document.headers);
      return undefined;
    }
    const { deprecation } = route.definition;
    if (deprecation !== undefined) addWarnings(response, [deprecation]);
    const exchange = { request, response, query, user, form: chooseRepresentation(accept) };
    return route.name === undefined ? onCollection(exchange, route) : onObject(exchange, route, route.name);
  }

  async function onCollection(exchange: Exchange, route: ResourceRoute): Promise<ObjectIdentity | undefined> {
    const { request, query, user } = exchange;
    const { definition } = route;
    const userAgent = request.headers["user-agent"];
    switch (request.method) {
      case "GET":
      case "HEAD":
        if (flagParameter(query, "watch")) watch(exchange, route);
        else await list(exchange, route);
        return undefined;
      case "POST": {
        if (definition.namespaced && route.namespace === undefined) throw methodNotAllowed();
        const options = readWriteOptions(query, user, userAgent, "CreateOptions");
        const body = await readWritten(exchange, definition, options.fieldValidation);
        const written = await createObject(machinery, definition, route.namespace ?? "", body, options);
        answerObject(exchange, definition, 201, written.body, written.warnings);
        return written;
      }
      case "DELETE":
        await deleteCollection(exchange, route);
        return undefined;
      default:
        throw methodNotAllowed();
    }
  }

  async function onObject(exchange: Exchange, route: ResourceRoute, name: string): Promise<ObjectIdentity | undefined> {
    const { request, query, user } = exchange;
    const { definition, namespace = "", subresource } = route;
    const part = subresource === undefined ? {} : { subresource };
    const userAgent = request.headers["user-agent"];
    switch (request.method) {
      case "GET":
      case "HEAD":
        answerObject(exchange, definition, 200, readOne(store, definition, namespace, name));
        return undefined;
      case "PUT": {
        const options = readWriteOptions(query, user, userAgent, "UpdateOptions");
        const body = await readWritten(exchange, definition, options.fieldValidation);
        const wanted = { from: () => body, pinned: namesRevision(body), ...part };
        const written = await changeObject(machinery, definition, namespace, name, wanted, options);
        answerObject(exchange, definition, 200, written.body, written.warnings);
        return written;
      }
      case "PATCH": {
        const mediaType = mediaTypeOf(request);
        const applies = isApply(definition, mediaType);
        const force = readForce(query, applies);
        const options = readWriteOptions(query, user, userAgent, "PatchOptions");
        const patch = await readWritten(exchange, definition, options.fieldValidation);
        const pinned = namesRevision(patch);
        const written = applies
          ? await applyObject(
              machinery,
              definition,
              namespace,
              name,
              { config: patch, force, pinned, ...part },
              options,
            )
          : await changeObject(
              machinery,
              definition,
              namespace,
              name,
              { from: readPatch(mediaType, patch), pinned, ...part },
              options,
            );
        answerObject(exchange, definition, written.created ? 201 : 200, written.body, written.warnings);
        return written;
      }
      case "DELETE": {
        if (subresource !== undefined) throw methodNotAllowed();
        const options = readDeleteOptions(query, optional(await readBody(request)), user);
        const deleted = await deleteObject(machinery, definition, namespace, name, options);
        if (!deleted.gone) {
          answerObject(exchange, definition, 200, deleted.body, deleted.warnings);
          return { name, uid: deleted.uid };
        }
        const details = {
          name,
          ...(definition.group === "" ? {} : { group: definition.group }),
          kind: definition.plural,
          uid: deleted.uid,
        };
        const success = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
        answerJson(exchange.response, 200, success, deleted.warnings);
        return { name, uid: deleted.uid };
      }
      default:
        throw methodNotAllowed();
    }
  }

  async function list(exchange: Exchange, { definition, namespace }: ResourceRoute): Promise<void> {
    const { query, response, form } = exchange;
    const { continue: token, resourceVersion, resourceVersionMatch } = readListOptions(query, false);
    const listed = await readList(store, definition, {
      ...(namespace === undefined ? {} : { namespace }),
      selection: readSelection(parameter(query, "labelSelector"), parameter(query, "fieldSelector"), definition),
      limit: wholeParameter(query, "limit") ?? 0,
      ...(token === undefined ? {} : { continue: token }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(resourceVersionMatch === undefined ? {} : { resourceVersionMatch }),
    });
    const metadata = {
      resourceVersion: listed.resourceVersion,
      ...(listed.continue === undefined ? {} : { continue: listed.continue }),
      ...(listed.remaining === undefined ? {} : { remainingItemCount: listed.remaining }),
    };
    if (form.as === "Table") {
      const objects = listed.bodies.map(parseStored);
      const include = readIncludeObject(query.get("includeObject"));
      answerJson(response, 200, printerOf(definition).table(objects, metadata, form.version, include));
      return;
    }
    if (form.as === "PartialObjectMetadata") {
      const items = listed.bodies.map((body) => partialMetadata(parseStored(body), form.version));
      const apiVersion = `meta.k8s.io/${form.version}`;
      answerJson(response, 200, { kind: "PartialObjectMetadataList", apiVersion, metadata, items });
      return;
    }
    const head = JSON.stringify({ kind: listKindOf(definition), apiVersion: apiVersionOf(definition), metadata });
    answerText(response, 200, `${head.slice(0, -1)},"items":[${listed.bodies.join(",")}]}`);
  }

  function watch(exchange: Exchange, { definition, namespace }: ResourceRoute): void {
    const { query, response, form } = exchange;
    const { resourceVersion, sendInitialEvents } = readListOptions(query, true);
    const asked = resourceVersion === undefined ? undefined : readRevision(resourceVersion);
    // A server that began anew would be silent until it has come so far, and then leave out all before.
    if (asked !== undefined && asked > store.revision()) {
      throw expired(`too large resource version: ${asked}, current: ${store.revision()}`);
    }
    const from = sendInitialEvents === undefined ? asked : sendInitialEvents ? undefined : asked || store.revision();
    const represent = representer(exchange, definition);
    response.setHeader("content-type", "application/json");
    response.setHeader("cache-control", "no-cache, private");
    hub.serve(
      definition,
      {
        ...(namespace === undefined ? {} : { namespace }),
        selection: readSelection(parameter(query, "labelSelector"), parameter(query, "fieldSelector"), definition),
        from,
        markInitialEnd: sendInitialEvents === true && form.as === "object",
        bookmarks: flagParameter(query, "allowWatchBookmarks") && form.as === "object",
        timeoutSeconds: wholeParameter(query, "timeoutSeconds") || WATCH_SECONDS + randomInt(WATCH_SECONDS),
        represent,
      },
      response,
    );
  }

  async function deleteCollection(exchange: Exchange, { definition, namespace }: ResourceRoute): Promise<void> {
    const { request, response, query, user } = exchange;
    if (definition.namespaced && namespace === undefined) throw methodNotAllowed();
    const options = readDeleteOptions(query, optional(await readBody(request)), user);
    const selection = readSelection(parameter(query, "labelSelector"), parameter(query, "fieldSelector"), definition);
    const where = namespace === undefined ? {} : { namespace };
    const listed = await readList(store, definition, { ...where, selection, limit: 0 });
    const names = listed.bodies.map((body) => String(parsedName(body)));
    for (let start = 0; start < names.length; start += DELETE_TOGETHER) {
      const removals = names.slice(start, start + DELETE_TOGETHER).map(async (name) => {
        try {
          await deleteObject(machinery, definition, namespace ?? "", name, options);
        } catch (thrown) {
          // Another one was quicker: what was asked for is done.
          if (!isApiError(thrown, "NotFound")) throw thrown;
        }
      });
      await Promise.all(removals);
    }
    const { resourceVersion } = listed;
    const head = JSON.stringify({
      kind: listKindOf(definition),
      apiVersion: apiVersionOf(definition),
      metadata: { resourceVersion },
    });
    answerText(response, 200, `${head.slice(0, -1)},"items":[${listed.bodies.join(",")}]}`);
  }

  function answerObject(
    { response, form, query }: Exchange,
    definition: ResourceDefinition,
    code: number,
    body: string,
    warnings: readonly string[] = [],
  ): void {
    if (form.as === "Table") {
      const object = parseStored(body);
      const include = readIncludeObject(query.get("includeObject"));
      const metadata = { resourceVersion: revisionOf(object) };
      answerJson(response, code, printerOf(definition).table([object], metadata, form.version, include), warnings);
    } else if (form.as === "PartialObjectMetadata") {
      answerJson(response, code, partialMetadata(parseStored(body), form.version), warnings);
    } else {
      answerText(response, code, body, warnings);
    }
  }

  function representer({ form, query }: Exchange, definition: ResourceDefinition): (body: string) => string {
    if (form.as === "Table") {
      const include = readIncludeObject(query.get("includeObject"));
      return (body) => {
        const object = parseStored(body);
        const metadata = { resourceVersion: revisionOf(object) };
        return JSON.stringify(printerOf(definition).table([object], metadata, form.version, include));
      };
    }
    if (form.as === "PartialObjectMetadata") {
      return (body) => JSON.stringify(partialMetadata(parseStored(body), form.version));
    }
    return asItIs;
  }

  function printerOf(definition: ResourceDefinition): TablePrinter {
    const known = printers.get(definition);
    if (known !== undefined) return known;
    const printer = makeTablePrinter(definition, machinery.now);
    printers.set(definition, printer);
    return printer;
  }

  return async (request, response, user) => {
    try {
      return await handle(request, response, user);
    } catch (thrown) {
      // The client went away in the middle of its request: there is nobody to answer.
      if (response.destroyed || request.errored !== null) return undefined;
      const known = isApiError(thrown);
      if (!known) log.error({ err: thrown, method: request.method, url: request.url }, "a request failed");
      const error = known ? thrown : internalError();
      // The rest of a body that was not read would be taken for the next request.
      if (!request.complete) response.setHeader("connection", "close");
      answerError(response, error, known ? warningsOf(thrown) : []);
      return undefined;
    }
  };
}

/** The door has seen to it that the path can be read in one way only. */
function targetOf({ url = "/" }: IncomingMessage): { readonly path: string; readonly query: URLSearchParams } {
  const cut = url.indexOf("?");
  return cut < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, cut), query: new URLSearchParams(url.slice(cut + 1)) };
}

/** The body of a write. What is to be warned of in it goes with the answer, whatever that is. */
async function readWritten(
  { request, response }: Exchange,
  definition: ResourceDefinition,
  mode: FieldValidation,
): Promise<unknown> {
  const { value, duplicates } = await readDocument(request);
  if (value === undefined) throw badRequest("the request needs a body");
  addWarnings(response, judgeDuplicates(definition, duplicates, mode));
  return value;
}

function optional(body: unknown): JsonObject {
  if (body === undefined || body === null) return {};
  if (!isJsonObject(body)) throw badRequest("the body must be a DeleteOptions object");
  return body;
}

function parsedName(body: string): unknown {
  const { metadata } = parseStored(body);
  return isJsonObject(metadata) ? metadata["name"] : undefined;
}

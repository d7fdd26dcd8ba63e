import type { IncomingMessage, ServerResponse } from "node:http";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import { addWarnings, answerError, answerJson, answerText, internalError } from "./answers.ts";
import { makeCollections } from "./collections.ts";
import { deleteObject } from "./deletes.ts";
import { serveDocument } from "./documents.ts";
import { noteDryRun } from "./dry-runs.ts";
import { judgeDuplicates } from "./field-validation.ts";
import { type Exchange, makeForms } from "./forms.ts";
import type { FieldValidation, Machinery, ObjectIdentity } from "./machinery.ts";
import { isApply, namesRevision, readPatch } from "./patches.ts";
import { flagParameter, parameter, readDeleteOptions, readForce, readWriteOptions } from "./query.ts";
import { readOne } from "./reads.ts";
import { warningsOf } from "./refusal-warnings.ts";
import { badRequest, methodNotAllowed } from "./refusals.ts";
import { chooseRepresentation, readAccept } from "./representation.ts";
import { mediaTypeOf, readDocument, readOptionsBody } from "./request-body.ts";
import { type ResourceRoute, readRoute } from "./route.ts";
import type { WatchHub } from "./watch.ts";
import { applyObject, changeObject, createObject, replaceObject } from "./writes.ts";

/** Answers requests that were authenticated as `user`. Never rejects; settles with what one object's write was of. */
export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  user: string,
) => Promise<ObjectIdentity | undefined>;

export function makeHandler(machinery: Machinery, hub: WatchHub): Handler {
  const { catalog, store, log } = machinery;
  const forms = makeForms(machinery.now);
  const collections = makeCollections(machinery, hub, forms);

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
        if (flagParameter(query, "watch")) collections.watch(exchange, route);
        else await collections.list(exchange, route);
        return undefined;
      case "POST": {
        if (definition.namespaced && route.namespace === undefined) throw methodNotAllowed();
        const options = readWriteOptions(query, user, userAgent, "CreateOptions");
        const body = await readWritten(exchange, definition, options.fieldValidation);
        const written = await createObject(machinery, definition, route.namespace ?? "", body, options);
        forms.answer(exchange, definition, 201, written.body, written.warnings);
        return written;
      }
      case "DELETE":
        await collections.remove(exchange, route);
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
      case "HEAD": {
        const body = readOne(store, definition, namespace, name, parameter(query, "resourceVersion"));
        forms.answer(exchange, definition, 200, body);
        return undefined;
      }
      case "PUT": {
        const options = readWriteOptions(query, user, userAgent, "UpdateOptions");
        const body = await readWritten(exchange, definition, options.fieldValidation);
        const written = await replaceObject(machinery, definition, namespace, name, body, options, subresource);
        forms.answer(exchange, definition, written.created ? 201 : 200, written.body, written.warnings);
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
        forms.answer(exchange, definition, written.created ? 201 : 200, written.body, written.warnings);
        return written;
      }
      case "DELETE": {
        if (subresource !== undefined) throw methodNotAllowed();
        const options = readDeleteOptions(query, await readOptionsBody(request), user);
        if (options.dryRun) noteDryRun(exchange.response);
        const deleted = await deleteObject(machinery, definition, namespace, name, options);
        if (!deleted.gone) {
          forms.answer(exchange, definition, 200, deleted.body, deleted.warnings);
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

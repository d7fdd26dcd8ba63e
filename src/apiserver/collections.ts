import { randomInt } from "node:crypto";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { isApiError } from "../model/api/status.ts";
import type { JsonObject } from "../model/json.ts";
import { answerJson, answerText } from "./answers.ts";
import { apiVersionOf, listKindOf } from "./catalog.ts";
import { deleteObject } from "./deletes.ts";
import { noteDryRun } from "./dry-runs.ts";
import type { Exchange, Forms } from "./forms.ts";
import type { Machinery } from "./machinery.ts";
import { isNamespaceResource } from "./namespaces.ts";
import { asKubeObject } from "./object-meta.ts";
import { flagParameter, parameter, readDeleteOptions, readListOptions, wholeParameter } from "./query.ts";
import { type Listed, readList, readRevision } from "./reads.ts";
import { expired, methodNotAllowed } from "./refusals.ts";
import { readIncludeObject } from "./representation.ts";
import { readOptionsBody } from "./request-body.ts";
import type { ResourceRoute } from "./route.ts";
import { readSelection } from "./selectors.ts";
import { keyFor, parseStored } from "./serving.ts";
import { partialMetadata } from "./table.ts";
import type { WatchHub } from "./watch.ts";

/** Watches without a timeout of their own (0 is none) end after half an hour to an hour, as kube-apiserver's do. */
const WATCH_SECONDS = 1_800;
const DELETE_TOGETHER = 64;

/** What is asked of the objects of a kind together: to list, to watch and to delete them. */
export interface Collections {
  list(exchange: Exchange, route: ResourceRoute): Promise<void>;
  watch(exchange: Exchange, route: ResourceRoute): void;
  remove(exchange: Exchange, route: ResourceRoute): Promise<void>;
}

export function makeCollections(machinery: Machinery, hub: WatchHub, forms: Forms): Collections {
  const { store } = machinery;

  function readPage(query: URLSearchParams, definition: ResourceDefinition, namespace?: string): Promise<Listed> {
    const { continue: token, resourceVersion, resourceVersionMatch } = readListOptions(query, false);
    return readList(store, definition, {
      ...(namespace === undefined ? {} : { namespace }),
      selection: readSelection(parameter(query, "labelSelector"), parameter(query, "fieldSelector"), definition),
      limit: wholeParameter(query, "limit") ?? 0,
      ...(token === undefined ? {} : { continue: token }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(resourceVersionMatch === undefined ? {} : { resourceVersionMatch }),
    });
  }

  async function list(exchange: Exchange, { definition, namespace }: ResourceRoute): Promise<void> {
    const { response, query, form } = exchange;
    const listed = await readPage(query, definition, namespace);
    const metadata = metadataOf(listed);
    if (form.as === "Table") {
      const objects = listed.bodies.map(parseStored);
      const include = readIncludeObject(query.get("includeObject"));
      answerJson(response, 200, forms.printerOf(definition).table(objects, metadata, form.version, include));
      return;
    }
    if (form.as === "PartialObjectMetadata") {
      const items = listed.bodies.map((body) => partialMetadata(parseStored(body), form.version));
      const apiVersion = `meta.k8s.io/${form.version}`;
      answerJson(response, 200, { kind: "PartialObjectMetadataList", apiVersion, metadata, items });
      return;
    }
    answerText(response, 200, listText(definition, listed));
  }

  function watch(exchange: Exchange, { definition, namespace }: ResourceRoute): void {
    const { query, response } = exchange;
    const { resourceVersion, sendInitialEvents } = readListOptions(query, true);
    const asked = resourceVersion === undefined ? undefined : readRevision(resourceVersion);
    // A server that began anew would be silent until it has come so far, and then leave out all before.
    if (asked !== undefined && asked > store.revision()) {
      throw expired(`too large resource version: ${asked}, current: ${store.revision()}`);
    }
    const from = sendInitialEvents === undefined ? asked : sendInitialEvents ? undefined : asked || store.revision();
    const represent = forms.representer(exchange, definition);
    response.setHeader("content-type", "application/json");
    response.setHeader("cache-control", "no-cache, private");
    hub.serve(
      definition,
      {
        ...(namespace === undefined ? {} : { namespace }),
        selection: readSelection(parameter(query, "labelSelector"), parameter(query, "fieldSelector"), definition),
        from,
        markInitialEnd: sendInitialEvents === true,
        bookmarks: flagParameter(query, "allowWatchBookmarks"),
        timeoutSeconds: wholeParameter(query, "timeoutSeconds") || WATCH_SECONDS + randomInt(WATCH_SECONDS),
        represent,
      },
      response,
    );
  }

  async function remove(exchange: Exchange, { definition, namespace }: ResourceRoute): Promise<void> {
    const { request, response, query, user } = exchange;
    const isAll = definition.namespaced && namespace === undefined;
    if (isAll || isNamespaceResource(definition)) throw methodNotAllowed();
    const options = readDeleteOptions(query, await readOptionsBody(request), user);
    if (options.dryRun) noteDryRun(response);
    // What a limit leaves over is not asked for yet.
    const listed = await readPage(query, definition, namespace);
    const meant = listed.bodies.map((body) => asKubeObject(parseStored(body)).metadata);
    for (let start = 0; start < meant.length; start += DELETE_TOGETHER) {
      const removals = meant.slice(start, start + DELETE_TOGETHER).map(async ({ name, uid }) => {
        // Another of that name was made since: it is not what was listed.
        if (store.get(keyFor(definition, namespace ?? "", name))?.uid !== uid) return;
        try {
          await deleteObject(machinery, definition, namespace ?? "", name, options);
        } catch (thrown) {
          // Another one was quicker: what was asked for is done.
          if (!isApiError(thrown, "NotFound")) throw thrown;
        }
      });
      await Promise.all(removals);
    }
    answerText(response, 200, listText(definition, listed));
  }

  return { list, watch, remove };
}

function metadataOf(listed: Listed): JsonObject {
  return {
    resourceVersion: listed.resourceVersion,
    ...(listed.continue === undefined ? {} : { continue: listed.continue }),
    ...(listed.remaining === undefined ? {} : { remainingItemCount: listed.remaining }),
  };
}

function listText(definition: ResourceDefinition, listed: Listed): string {
  const metadata = metadataOf(listed);
  const head = JSON.stringify({ kind: listKindOf(definition), apiVersion: apiVersionOf(definition), metadata });
  return `${head.slice(0, -1)},"items":[${listed.bodies.join(",")}]}`;
}

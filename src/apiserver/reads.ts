import type { ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, objectAt, textAt } from "../model/json.ts";
import { badRequest, expired, notFound, tooLargeResourceVersion } from "./refusals.ts";
import type { Selection } from "./selectors.ts";
import { keyFor, parseStored, servedBody } from "./serving.ts";
import type { ListQuery, Store, StoredObject } from "./store.ts";

/** The JSON text of one object. */
export function readOne(store: Store, definition: ResourceDefinition, namespace: string, name: string) {
  const stored = store.get(keyFor(definition, namespace, name));
  if (stored === undefined) throw notFound(definition, name);
  return servedBody(definition, stored.body);
}

export interface ListOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly selection: Selection;
  /** 0: all. */
  readonly limit: number;
  /** The token of the page before. */
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: string;
}

/** One page of a list. */
export interface Listed {
  /** JSON texts in the order of namespace and name. */
  readonly bodies: readonly string[];
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly continue?: string;
  readonly remaining?: number;
}

const PAGE = 500;

/**
 * Lists what is committed. Later pages show what is there when they are read; every page carries the resourceVersion
 * of the first, so a watch from it misses nothing.
 */
export function readList(store: Store, definition: ResourceDefinition, options: ListOptions): Listed {
  const { selection, limit } = options;
  const current = store.revision();
  requireReachable(options, current);
  const token = options.continue === undefined ? undefined : readToken(options.continue);
  const revision = token?.revision ?? current;
  const query = {
    group: definition.group,
    plural: definition.plural,
    ...(definition.namespaced && options.namespace !== undefined ? { namespace: options.namespace } : {}),
  };
  const answer = (found: readonly StoredObject[]) => found.map(({ body }) => servedBody(definition, body));
  const direct = selection.name !== undefined && (!definition.namespaced || options.namespace !== undefined);
  if (direct && selection.name !== undefined) {
    const stored = store.get(keyFor(definition, options.namespace ?? "", selection.name));
    const found = stored !== undefined && (selection.matches?.(parseStored(stored.body)) ?? true) ? [stored] : [];
    return { bodies: answer(found), resourceVersion: String(revision) };
  }
  const found: StoredObject[] = [];
  const wanted = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let after: ListQuery["after"] = token?.after;
  for (;;) {
    const page = store.list({ ...query, limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const stored of page) {
      if (selection.matches !== undefined && !selection.matches(parseStored(stored.body))) continue;
      if (found.length === wanted) {
        const last = found.at(-1);
        const from = { namespace: last?.namespace ?? "", name: last?.name ?? "" };
        return {
          bodies: answer(found),
          resourceVersion: String(revision),
          continue: writeToken({ revision, after: from }),
          ...(selection.matches === undefined ? { remaining: store.count({ ...query, after: from }) } : {}),
        };
      }
      found.push(stored);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return { bodies: answer(found), resourceVersion: String(revision) };
    after = { namespace: last.namespace, name: last.name };
  }
}

/** All that is stored of a resource, read page by page. */
export function* everyStored(store: Store, group: string, plural: string): Generator<StoredObject> {
  let after: ListQuery["after"];
  for (;;) {
    const page = store.list({ group, plural, limit: PAGE, ...(after === undefined ? {} : { after }) });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = { namespace: last.namespace, name: last.name };
  }
}

function requireReachable(options: ListOptions, current: number): void {
  if (options.resourceVersion === undefined) {
    if (options.resourceVersionMatch !== undefined) {
      throw badRequest("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    return;
  }
  const asked = readRevision(options.resourceVersion);
  if (asked > current) throw tooLargeResourceVersion(asked, current);
  if (options.resourceVersionMatch === "Exact" && asked !== current) {
    throw expired(`the resourceVersion ${asked} is too old for an exact list; the current one is ${current}`);
  }
}

/** Reads a resourceVersion of a query. */
export function readRevision(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`resourceVersion: Invalid value: "${text}": must be a decimal number`);
  return Number(text);
}

interface Token {
  readonly revision: number;
  readonly after: { readonly namespace: string; readonly name: string };
}

function writeToken({ revision, after }: Token): string {
  return Buffer.from(JSON.stringify({ rv: revision, ns: after.namespace, name: after.name })).toString("base64url");
}

function readToken(text: string): Token {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    if (isJsonObject(value) && typeof value["rv"] === "number") {
      return {
        revision: value["rv"],
        after: { namespace: textAt(value, "ns") ?? "", name: textAt(value, "name") ?? "" },
      };
    }
  } catch {
    // Falls through to the one refusal below.
  }
  throw badRequest("continue: Invalid value: the continue token is not one of this server");
}

/** The resourceVersion in an object's metadata. */
export function revisionOf(object: Readonly<Record<string, unknown>>): string {
  return textAt(objectAt(object, "metadata"), "resourceVersion") ?? "0";
}

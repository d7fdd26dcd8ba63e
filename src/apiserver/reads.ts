import type { ResourceDefinition } from "../model/api/resource.ts";
import { isJsonObject, objectAt, textAt } from "../model/json.ts";
import { badRequest, expired, notFound, tooLargeResourceVersion } from "./refusals.ts";
import type { Selection } from "./selectors.ts";
import { keyFor, parseStored, servedBody } from "./serving.ts";
import type { FormerObject, ListQuery, Place, Store, StoredObject } from "./store.ts";

/** The JSON text of one object, of a state not older than `resourceVersion`. @throws ApiError 504 where that is to come. */
export function readOne(
  store: Store,
  definition: ResourceDefinition,
  namespace: string,
  name: string,
  resourceVersion?: string,
): string {
  const asked = resourceVersion === undefined ? 0 : readRevision(resourceVersion);
  if (asked > store.revision()) throw tooLargeResourceVersion(asked, store.revision());
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
const START: Place = { namespace: "", name: "" };

/** How long reading may keep others waiting; then it goes on in the next tick. */
const SLICE_MS = 10;

/**
 * Lists what is committed. Later pages show what was there when the first was read, whatever was written since: all
 * of them are one list, of the resourceVersion that each carries, and a watch from it misses nothing.
 *
 * @throws ApiError 410 where the history no longer reaches back to the first page, or to where the reading began.
 */
export async function readList(store: Store, definition: ResourceDefinition, options: ListOptions): Promise<Listed> {
  const { selection, limit } = options;
  const token = options.continue === undefined ? undefined : readToken(options.continue);
  const revision = revisionToRead(store, options, token);
  const resourceVersion = String(revision);
  const answer = (found: readonly Held[]) => found.map(({ body }) => servedBody(definition, body));
  const where = readingPlace(definition, options.namespace);
  const query = { group: definition.group, plural: definition.plural, ...where };
  const found: Held[] = [];
  const wanted = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  // One more tells whether there are more.
  const range = { revision, first: Math.min(wanted, PAGE) + 1, ...(token === undefined ? {} : { after: token.after }) };
  let begun = performance.now();
  for (const { held, selected } of scanAt(store, definition, options, range)) {
    if (selected && found.length === wanted) {
      const last = found.at(-1);
      const after = { namespace: last?.namespace ?? "", name: last?.name ?? "" };
      // Of the past the number is not known without reading it.
      const counted = selection.matches === undefined && revision === store.revision();
      return {
        bodies: answer(found),
        resourceVersion,
        continue: writeToken({ revision, after }),
        ...(counted ? { remaining: store.count({ ...query, after }) } : {}),
      };
    }
    if (selected) found.push(held);
    if (performance.now() - begun < SLICE_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    if (revision < store.compacted()) throw expired(`too old resource version: ${revision} (${store.compacted()})`);
    begun = performance.now();
  }
  return { bodies: answer(found), resourceVersion };
}

/** What is read of an object; `body` is JSON text as it is stored. */
export type Held = Pick<StoredObject, "namespace" | "name" | "body">;

export interface ReadRange {
  /** Not older than what the store compacted. */
  readonly revision: number;
  /** Starts behind this place. */
  readonly after?: Place;
  /** How many objects are read, and held, at once in the end. */
  readonly page?: number;
  /** How many of them at first; then twice as many each time. Absent: as in the end. */
  readonly first?: number;
}

/** An object that was looked at. */
export interface Scanned {
  readonly held: Held;
  /** True where it is of the selection. */
  readonly selected: boolean;
}

/**
 * Looks at objects as they were at a revision, in the order of namespace and name, and tells which are of a selection.
 * May be gone on with in later ticks while the history reaches back to the revision.
 */
export function* scanAt(
  store: Store,
  definition: ResourceDefinition,
  { namespace, selection }: Pick<ListOptions, "namespace" | "selection">,
  { revision, after, page = PAGE, first = page }: ReadRange,
): Generator<Scanned> {
  const { name, matches } = selection;
  const direct = name !== undefined && (!definition.namespaced || namespace !== undefined);
  if (direct && after === undefined && revision === store.revision()) {
    const stored = store.get(keyFor(definition, namespace ?? "", name));
    if (stored !== undefined) yield { held: stored, selected: matches?.(parseStored(stored.body)) ?? true };
    return;
  }
  const { group, plural } = definition;
  const query = { group, plural, ...readingPlace(definition, namespace) };
  for (const held of heldAt(store, query, revision, after ?? START, { first, page })) {
    const named = name === undefined || name === held.name;
    yield { held, selected: named && (matches === undefined || matches(parseStored(held.body))) };
  }
}

function readingPlace({ namespaced }: ResourceDefinition, namespace: string | undefined): { namespace?: string } {
  return namespaced && namespace !== undefined ? { namespace } : {};
}

/** The objects behind a place as they were at a revision, in the order of namespace and name. */
function* heldAt(
  store: Store,
  query: Pick<ListQuery, "group" | "plural" | "namespace">,
  revision: number,
  start: Place,
  sizes: { readonly first: number; readonly page: number },
): Generator<Held> {
  const { group, plural, namespace } = query;
  let after = namespace === undefined ? start : { namespace, name: start.name };
  for (let size = Math.min(sizes.first, sizes.page); ; size = Math.min(2 * size, sizes.page)) {
    const page = store.list({ ...query, limit: size, after });
    const last = page.length < size ? undefined : page.at(-1);
    if (store.revision() === revision) {
      yield* page;
    } else {
      const upTo = last ?? (namespace === undefined ? undefined : { namespace, name: LAST_NAME });
      const bounds = upTo === undefined ? {} : { upTo };
      yield* withFormer(page, store.former({ group, plural, behind: revision, ...after, ...bounds }));
    }
    if (last === undefined) return;
    after = { namespace: last.namespace, name: last.name };
  }
}

/** Behind every name. */
const LAST_NAME = "\u{10ffff}";

function withFormer(page: readonly Held[], former: readonly FormerObject[]): readonly Held[] {
  if (former.length === 0) return page;
  const held = new Map(page.map((each) => [`${each.namespace}/${each.name}`, each]));
  for (const { namespace, name, body } of former) {
    if (body === null) held.delete(`${namespace}/${name}`);
    else held.set(`${namespace}/${name}`, { namespace, name, body });
  }
  return [...held.values()].toSorted(
    (left, right) => compare(left.namespace, right.namespace) || compare(left.name, right.name),
  );
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
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

/** The revision whose state is to be listed. */
function revisionToRead(store: Store, options: ListOptions, token: Token | undefined): number {
  const current = store.revision();
  const { resourceVersion, resourceVersionMatch } = options;
  if (token !== undefined) {
    if (resourceVersion !== undefined && resourceVersion !== "0") {
      throw badRequest("specifying resource version is not allowed when using continue");
    }
    if (token.revision === ANY_REVISION) return current;
    if (token.revision < store.compacted() || token.revision > current) {
      throw expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list: objects that were created, modified, or deleted between the first page and now may show up in it.",
        writeToken({ revision: ANY_REVISION, after: token.after }),
      );
    }
    return token.revision;
  }
  if (resourceVersion === undefined) return current;
  const asked = readRevision(resourceVersion);
  if (asked > current) throw tooLargeResourceVersion(asked, current);
  if (resourceVersionMatch !== "Exact") return current;
  if (asked < store.compacted()) throw expired(`too old resource version: ${asked} (${store.compacted()})`);
  return asked;
}

/** Reads a resourceVersion of a query. */
export function readRevision(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`resourceVersion: Invalid value: "${text}": must be a decimal number`);
  return Number(text);
}

interface Token {
  readonly revision: number;
  readonly after: Place;
}

/** In the token of a list that goes on with what there is by then. */
const ANY_REVISION = -1;

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

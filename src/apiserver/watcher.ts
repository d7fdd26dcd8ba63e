import type { ServerResponse } from "node:http";
import type { ResourceDefinition } from "../model/api/resource.ts";
import { failure } from "../model/api/status.ts";
import { apiVersionOf } from "./catalog.ts";
import { type Scanned, scanAt } from "./reads.ts";
import { servedBody } from "./serving.ts";
import type { Change, Place, Store } from "./store.ts";
import { asItIs, eventLine, eventType, type LineCache, type WatchedPart, withRevision } from "./watch-events.ts";

export interface WatchOptions extends WatchedPart {
  /** Changes behind this one; undefined or 0: what is there first, as ADDED. */
  readonly from: number | undefined;
  /** With `sendInitialEvents`, a bookmark says where what was there ends. */
  readonly markInitialEnd: boolean;
  readonly bookmarks: boolean;
  readonly timeoutSeconds: number;
  /** What stands for an object in an event, a bookmark's too: its own text, or a Table. */
  readonly represent: (body: string) => string;
}

/** One watch that a client has open. */
export interface Watcher {
  readonly definition: ResourceDefinition;
  /** Begins to write; the watcher must be known to the hub by then, for it may end at once. */
  start(): void;
  hear(changes: readonly Change[]): void;
  end(): void;
}

/** Unsent bytes beyond which a watch is no longer fed from memory but reads the history as the client drains it. */
const BUFFER_LIMIT = 128 * 1024;
const INITIAL_PAGE = 50;
const BOOKMARK_MS = 60_000;
/** Beyond it, Node's timers run at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** How long one watch may keep all others waiting; then it goes on in the next tick. */
const SLICE_MS = 10;
/** A client that takes nothing for so long while events wait is cut off. */
const STALL_MS = 60_000;

interface WatchContext {
  readonly store: Store;
  readonly lines: LineCache;
  readonly definition: ResourceDefinition;
  readonly options: WatchOptions;
  readonly response: ServerResponse;
}

export function makeWatcher(context: WatchContext, gone: () => void): Watcher {
  const { store, definition, options, response } = context;
  const { group, plural } = definition;
  const listsFirst = options.from === undefined || options.from === 0;
  let cursor = options.from || store.revision();
  /** Where what was there at `cursor` is to be told on; undefined: all of it is told. */
  let initial: { readonly after?: Place } | undefined = listsFirst ? {} : undefined;
  /** Live watches are fed by commits; the others read the history. */
  let live = false;
  let ended = false;
  let stalled: NodeJS.Timeout | undefined;
  let next: NodeJS.Immediate | undefined;
  /** What is being looked through for `initial`. */
  let scan: Generator<Scanned> | undefined;

  const write = (line: string) => {
    response.write(line);
  };
  const congested = () => response.writableLength > BUFFER_LIMIT;

  /** What is told of a change; undefined where that is nothing. */
  function lineOf(change: Change): string | undefined {
    const type = eventType(change, definition, options);
    if (type === undefined) return undefined;
    const make = () => {
      const shown = type === "DELETED" && change.type !== "DELETED" ? withRevision(change) : change.body;
      return eventLine(type, options.represent(servedBody(definition, shown)));
    };
    return options.represent === asItIs ? context.lines.line(change, type, definition, make) : make();
  }

  function deliver(change: Change): void {
    cursor = change.revision;
    const line = lineOf(change);
    if (line !== undefined) write(line);
  }

  /** Delivers a commit in one piece, which those who see it alike share; false where it is more than the client may take. */
  function deliverTogether(changes: readonly Change[]): boolean {
    const last = changes.at(-1);
    if (last === undefined || options.represent !== asItIs || options.selection.matches !== undefined) return false;
    const make = () => changes.map((change) => lineOf(change) ?? "").join("");
    const text = context.lines.together(changes, `${definition.version} ${options.namespace ?? ""}`, make);
    if (response.writableLength + text.length > BUFFER_LIMIT) return false;
    cursor = last.revision;
    if (text !== "") write(text);
    return true;
  }

  /** Delivers one after another, at least the first; what is left over is read from the history again. */
  function deliverUntil(changes: Iterable<Change>, isEnough: () => boolean): void {
    for (const change of changes) {
      deliver(change);
      if (isEnough()) return;
    }
  }

  /**
   * Writes what was there at `cursor`, until the client's buffer is full, the time is over, or that is told. While the
   * client's buffer is full only the place of the last object is kept: the store knows what was behind it, as a list's
   * later pages do.
   */
  function tellInitial(range: { readonly after?: Place }, isOver: () => boolean): void {
    // A large object alone may fill the client's buffer, and then what is read behind it is read in vain.
    scan ??= scanAt(store, definition, options, { ...range, revision: cursor, page: INITIAL_PAGE, first: 1 });
    for (;;) {
      const { done, value } = scan.next();
      if (done === true) break;
      const { held, selected } = value;
      if (selected) write(eventLine("ADDED", options.represent(servedBody(definition, held.body))));
      initial = { after: { namespace: held.namespace, name: held.name } };
      if (congested()) scan = undefined;
      if (scan === undefined || isOver()) return;
    }
    scan = undefined;
    initial = undefined;
    if (options.markInitialEnd) {
      bookmark({ "k8s.io/initial-events-end": "true" });
    }
  }

  /** Writes until the client's buffer is full, nothing is left to tell, or others have to be served in between. */
  function pump(): void {
    if (ended) return;
    const begun = performance.now();
    const isOver = (): boolean => performance.now() - begun > SLICE_MS;
    while (!congested()) {
      if (isOver()) {
        live = false;
        next = setImmediate(pump);
        return;
      }
      if (cursor < store.compacted()) {
        fail(410, "Expired", `too old resource version: ${cursor} (${store.compacted()})`);
        return;
      }
      if (initial !== undefined) {
        tellInitial(initial, isOver);
        continue;
      }
      const from = cursor;
      deliverUntil(store.changes({ group, plural, behind: cursor }), () => congested() || isOver());
      if (cursor === from) {
        cursor = store.revision();
        live = true;
        clearTimeout(stalled);
        stalled = undefined;
        return;
      }
    }
    live = false;
    clearTimeout(stalled);
    stalled = setTimeout(() => response.destroy(), STALL_MS);
    response.once("drain", pump);
  }

  function fail(code: number, reason: string, message: string): void {
    write(`${JSON.stringify({ type: "ERROR", object: failure(code, reason, message) })}\n`);
    end();
  }

  /** An event that only moves the client's resourceVersion on: of an object that has nothing else. */
  function bookmark(annotations?: Readonly<Record<string, string>>): void {
    const moved = { resourceVersion: String(cursor), creationTimestamp: null };
    const metadata = annotations === undefined ? moved : { ...moved, annotations };
    const bare = { kind: definition.kind, apiVersion: apiVersionOf(definition), metadata };
    write(eventLine("BOOKMARK", options.represent(JSON.stringify(bare))));
  }

  function end(): void {
    if (ended) return;
    ended = true;
    stop();
    response.end();
  }

  function stop(): void {
    ended = true;
    clearTimeout(deadline);
    clearTimeout(stalled);
    clearImmediate(next);
    clearInterval(beat);
    gone();
  }

  const deadline = setTimeout(
    () => {
      if (options.bookmarks && live) bookmark();
      end();
    },
    Math.min(options.timeoutSeconds * 1_000, LONGEST_TIMER_MS),
  );
  const beat = setInterval(() => {
    if (!live) return;
    cursor = store.revision();
    if (options.bookmarks) bookmark();
  }, BOOKMARK_MS);
  response.on("close", stop);
  response.on("error", stop);

  return {
    definition,
    start() {
      response.flushHeaders();
      pump();
    },
    hear(changes) {
      if (!live || ended) return;
      if (deliverTogether(changes)) return;
      deliverUntil(changes, congested);
      if (congested()) pump();
    },
    end,
  };
}

import type { ResourceDefinition } from "../model/api/resource.ts";
import type { Selection } from "./selectors.ts";
import { parseStored } from "./serving.ts";
import type { Change, ChangeType } from "./store.ts";

/** The objects of a kind that a watch sees. */
export interface WatchedPart {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly selection: Selection;
}

/** The representation of an object by itself. */
export function asItIs(body: string): string {
  return body;
}

export function eventLine(type: string, object: string): string {
  return `{"type":"${type}","object":${object}}\n`;
}

/** What the change is to a watch that sees a selection only; undefined where it is none. */
export function eventType(change: Change, definition: ResourceDefinition, part: WatchedPart): ChangeType | undefined {
  if (definition.namespaced && part.namespace !== undefined && change.namespace !== part.namespace) {
    return undefined;
  }
  const { matches, name } = part.selection;
  if (matches === undefined) return change.type;
  if (name !== undefined && name !== change.name) return undefined;
  const now = change.type !== "DELETED" && matches(parseStored(change.body));
  const before = change.previous !== null && matches(parseStored(change.previous));
  if (now) return before ? "MODIFIED" : "ADDED";
  return before ? "DELETED" : undefined;
}

/** The last state that matched, under the revision that took it out of the selection. */
export function withRevision({ previous, body, revision }: Change): string {
  const object = parseStored(previous ?? body);
  const metadata = object["metadata"];
  return JSON.stringify({
    ...object,
    metadata: { ...(typeof metadata === "object" ? metadata : {}), resourceVersion: String(revision) },
  });
}

/** Serialises each change once for all watches that show it alike. */
export interface LineCache {
  line(change: Change, type: ChangeType, definition: ResourceDefinition, make: () => string): string;
  /** The lines of one commit; `shownAs` tells watches apart that see others of its changes, or see them otherwise. */
  together(changes: readonly Change[], shownAs: string, make: () => string): string;
}

export function makeLineCache(): LineCache {
  const cache = new WeakMap<object, Map<string, string>>();
  function cached(of: object, key: string, make: () => string): string {
    const known = cache.get(of) ?? new Map<string, string>();
    cache.set(of, known);
    const held = known.get(key);
    if (held !== undefined) return held;
    const text = make();
    known.set(key, text);
    return text;
  }
  return {
    line: (change, type, definition, make) => cached(change, `${type} ${definition.version}`, make),
    together: cached,
  };
}

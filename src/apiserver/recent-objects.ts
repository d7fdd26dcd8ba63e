import type { StoredObject } from "./store.ts";

/** Committed objects that were read or written last, so that the next write of them needs no reading. */
export interface RecentObjects {
  get(place: string): StoredObject | undefined;
  /** null: it is gone. */
  put(place: string, object: StoredObject | null): void;
}

/**
 * Keeps at most `largest` characters of JSON: those asked for of late, and those before them, which are forgotten
 * together. A Map in the order of use would be rebuilt again and again.
 */
export function makeRecentObjects(largest: number): RecentObjects {
  let late = new Map<string, StoredObject>();
  let before = new Map<string, StoredObject>();
  let size = 0;
  function keep(place: string, object: StoredObject): void {
    size += object.body.length - (late.get(place)?.body.length ?? 0);
    late.set(place, object);
    if (size <= largest / 2) return;
    before = late;
    late = new Map();
    size = 0;
  }
  return {
    get(place) {
      const held = late.get(place);
      if (held !== undefined) return held;
      const object = before.get(place);
      if (object !== undefined) keep(place, object);
      return object;
    },
    put(place, object) {
      before.delete(place);
      if (object !== null && object.body.length <= largest / 8) {
        keep(place, object);
      } else {
        size -= late.get(place)?.body.length ?? 0;
        late.delete(place);
      }
    },
  };
}

import { chmodSync, closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Fault, isFault } from "../model/fault.ts";
import { notStored } from "./refusals.ts";
import {
  prepareFile,
  prepareReads,
  prepareWrites,
  proveWritable,
  reasonOf,
  sqliteCode,
  storageError,
  takeLock,
} from "./store-file.ts";

/** Where an object lies. Versions of one resource share the place; `namespace` is empty for cluster-scoped kinds. */
export interface ObjectKey {
  readonly group: string;
  readonly plural: string;
  readonly namespace: string;
  readonly name: string;
}

/** An object as it is kept: its JSON text, with `resourceVersion` in it. */
export interface StoredObject extends ObjectKey {
  readonly uid: string;
  readonly revision: number;
  readonly body: string;
}

export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";

/** One step of the history, as watches see it. */
export interface Change extends ObjectKey {
  readonly type: ChangeType;
  readonly revision: number;
  readonly body: string;
  /** What the object was before; absent for ADDED. */
  readonly previous: string | null;
}

/** What a piece of work inside a transaction may do. All of it is synchronous and sees its own writes. */
export interface Transaction {
  get(key: ObjectKey): StoredObject | undefined;
  /** Stores what `body` makes of the new revision; `owners` are the UIDs of its owner references. */
  put(key: ObjectKey, uid: string, owners: readonly string[], body: (revision: number) => string): StoredObject;
  remove(key: ObjectKey, body: (revision: number) => string): StoredObject;
  /** True when an object lies in the namespace. */
  inhabited(namespace: string): boolean;
  /** True when an object of the resource is stored. */
  holds(group: string, plural: string): boolean;
  /** True when an object names this owner. */
  owns(uid: string): boolean;
}

export interface ListQuery {
  readonly group: string;
  readonly plural: string;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly limit: number;
  /** Starts behind this place. */
  readonly after?: { readonly namespace: string; readonly name: string };
}

/** A part of a resource's past: what changed behind a revision, among the objects between two places. */
export interface FormerQuery extends Place {
  readonly group: string;
  readonly plural: string;
  readonly behind: number;
  /** The last place; absent: the end. */
  readonly upTo?: Place;
}

/** An object as it was; `body` is null where there was none. */
export interface FormerObject extends Place {
  readonly body: string | null;
}

export interface Place {
  readonly namespace: string;
  readonly name: string;
}

/** Hears of each commit: how long it took until it was on disk, and how many pieces of work shared it. */
export type CommitListener = (seconds: number, works: number) => void;

/** A store of versioned objects in one SQLite file, with the history that watches resume from. */
export interface Store {
  /** Runs `work` in the transaction of this tick; settles after the commit is on disk. A throw undoes this work only. */
  transact<T>(work: (transaction: Transaction) => T): Promise<T>;
  /** What is committed. */
  get(key: ObjectKey): StoredObject | undefined;
  getByUid(uid: string): StoredObject | undefined;
  /** In the order of namespace and name. */
  list(query: ListQuery): StoredObject[];
  count(query: Pick<ListQuery, "group" | "plural" | "namespace" | "after">): number;
  /** Objects that name the owner; with undefined, objects that name an owner that is gone. */
  dependents(owner: string | undefined): StoredObject[];
  inNamespace(namespace: string): StoredObject[];
  /** How many objects each resource has, by group and plural. */
  census(): { group: string; plural: string; count: number }[];
  /** Changes behind `revision` in order, at most `limit`. */
  changes(query: { group: string; plural: string; behind: number; limit: number }): Change[];
  /** Objects behind a place that changed behind a revision, as they were at it, in the order of namespace and name. */
  former(query: FormerQuery): FormerObject[];
  /** The newest committed revision. */
  revision(): number;
  /** History up to and including this revision is gone. */
  compacted(): number;
  /** Writes what is there already; settles when that is on disk. @throws ApiError where the medium refuses. */
  prove(): Promise<void>;
  /** Hears of every commit, in order. */
  subscribe(listener: (changes: readonly Change[]) => void): () => void;
  close(): Promise<void>;
}

/** Behind every name that can be. */
const END: Place = { namespace: "\u{10ffff}", name: "\u{10ffff}" };
const KEPT_REVISIONS = 10_000;
const COMPACT_EVERY = 250;
/** Characters of JSON that are kept in memory. */
const LARGEST_RECENT = 24 * 1024 * 1024;

/**
 * Opens or makes the store in `folder`. SQLite in WAL mode with synchronous=FULL; a second connection reads, so that
 * nobody sees what is not on disk yet.
 *
 * @throws Fault PB6002 where another process has it, PB6004 where it cannot be opened.
 */
export function openStore(folder: string, timed: CommitListener = () => undefined): Store {
  const file = join(folder, "store.db");
  const lock = takeLock(folder);
  let writer: DatabaseSync | undefined;
  let reader: DatabaseSync | undefined;
  try {
    // Whatever the folder's rights are: SQLite gives its other files those of this one.
    closeSync(openSync(file, "a", 0o600));
    chmodSync(file, 0o600);
    writer = new DatabaseSync(file, { timeout: 5_000 });
    prepareFile(writer, file);
    reader = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    return makeStore(folder, lock, writer, reader, timed);
  } catch (thrown) {
    for (const connection of [reader, writer, lock]) connection?.close();
    if (isFault(thrown)) throw thrown;
    throw new Fault("PB6004", `the store ${file} cannot be opened: ${reasonOf(thrown)}`, {
      place: file,
      cure: "Restore it from a copy, or move it away to start with an empty store.",
      cause: thrown,
    });
  }
}

interface Pending {
  run(transaction: Transaction): () => void;
  reject(error: unknown): void;
}

function makeStore(
  folder: string,
  lock: DatabaseSync,
  writer: DatabaseSync,
  reader: DatabaseSync,
  timed: CommitListener,
): Store {
  const write = prepareWrites(writer);
  const read = prepareReads(reader);
  const listeners = new Set<(changes: readonly Change[]) => void>();
  let committed = Number(read.newest.get()?.["revision"] ?? 0);
  let compactedTo = Number(read.oldest.get()?.["revision"] ?? 1) - 1;
  let next = committed;
  let queue: Pending[] = [];
  let scheduled = false;
  let closed = false;

  let changes: Change[] = [];
  /** What the works of this transaction left at each place; null: nothing. */
  let left = new Map<string, StoredObject | null>();
  /** The same, each step. */
  let steps: { readonly at: string; readonly now: StoredObject | null }[] = [];
  const recent = makeRecentObjects(LARGEST_RECENT);
  const transaction: Transaction = {
    get(key) {
      const at = placeOf(key);
      const own = left.get(at);
      if (own !== undefined) return own ?? undefined;
      return recent.get(at) ?? asStored(write.get.get(key.group, key.plural, key.namespace, key.name));
    },
    put(key, uid, owners, body) {
      const before = transaction.get(key);
      next += 1;
      const stored: StoredObject = { ...keyOf(key), uid, revision: next, body: body(next) };
      // The index of UIDs is left alone where it can be: its pages lie all over the file.
      if (before?.uid === uid) write.change.run(next, stored.body, key.group, key.plural, key.namespace, key.name);
      else write.put.run(key.group, key.plural, key.namespace, key.name, uid, next, stored.body);
      write.disown.run(uid);
      for (const owner of owners) write.own.run(owner, uid);
      note(before === undefined ? "ADDED" : "MODIFIED", stored, before?.body ?? null);
      return stored;
    },
    remove(key, body) {
      const before = transaction.get(key);
      if (before === undefined) throw new Error(`${key.plural} ${key.namespace}/${key.name} is not stored`);
      next += 1;
      const stored: StoredObject = { ...before, revision: next, body: body(next) };
      write.remove.run(key.group, key.plural, key.namespace, key.name);
      write.disown.run(before.uid);
      note("DELETED", stored, before.body);
      return stored;
    },
    inhabited: (namespace) => write.inhabited.get(namespace) !== undefined,
    holds: (group, plural) => write.holds.get(group, plural) !== undefined,
    owns: (uid) => write.owns.get(uid) !== undefined,
  };

  function note(type: ChangeType, stored: StoredObject, previous: string | null): void {
    const change: Change = { ...keyOf(stored), type, revision: stored.revision, body: stored.body, previous };
    const { group, plural, namespace, name } = change;
    write.note.run(change.revision, type, group, plural, namespace, name, change.body, previous);
    changes.push(change);
    const step = { at: placeOf(change), now: type === "DELETED" ? null : stored };
    steps.push(step);
    left.set(step.at, step.now);
  }

  function flush(): void {
    scheduled = false;
    const batch = queue;
    queue = [];
    const settle: (() => void)[] = [];
    changes = [];
    steps = [];
    left = new Map();
    const begun = performance.now();
    try {
      write.begin.run();
      for (const pending of batch) settle.push(attempt(pending));
      write.commit.run();
    } catch (thrown) {
      if (writer.isTransaction) writer.exec("ROLLBACK");
      const error = storageError(thrown, folder);
      for (const pending of batch) pending.reject(error);
      return;
    }
    timed((performance.now() - begun) / 1_000, batch.length);
    if (changes.length > 0) {
      committed = next;
      for (const [at, now] of left) recent.put(at, now);
      const published = changes;
      for (const listener of listeners) listener(published);
    }
    for (const answer of settle) answer();
    if (committed - compactedTo >= KEPT_REVISIONS + COMPACT_EVERY) compact();
  }

  /** Runs one work in a savepoint of its own; what SQLite itself throws fails the whole batch. */
  function attempt(pending: Pending): () => void {
    write.savepoint.run();
    const noted = changes.length;
    try {
      const answer = pending.run(transaction);
      write.release.run();
      return answer;
    } catch (thrown) {
      if (sqliteCode(thrown) !== undefined) throw thrown;
      writer.exec("ROLLBACK TO work; RELEASE work");
      changes.length = noted;
      steps.length = noted;
      left = new Map(steps.map(({ at, now }) => [at, now]));
      return () => pending.reject(thrown);
    }
  }

  function compact(): void {
    const upTo = committed - KEPT_REVISIONS;
    try {
      write.compact.run(upTo);
      compactedTo = upTo;
    } catch (thrown) {
      // A disk without room for the deletion keeps the longer history; the next commit tries again.
      if (sqliteCode(thrown) === undefined) throw thrown;
    }
  }

  function transact<T>(work: (transaction: Transaction) => T): Promise<T> {
    if (closed) return Promise.reject(notStored(false, "the daemon is stopping", folder));
    return new Promise<T>((resolve, reject) => {
      queue.push({
        run(inside) {
          const value = work(inside);
          return () => resolve(value);
        },
        reject,
      });
      if (scheduled) return;
      scheduled = true;
      setImmediate(flush);
    });
  }

  return {
    transact,
    prove: () => transact(() => proveWritable(writer)),
    get(key) {
      const at = placeOf(key);
      const held = recent.get(at);
      if (held !== undefined) return held;
      const found = asStored(read.get.get(key.group, key.plural, key.namespace, key.name));
      if (found !== undefined) recent.put(at, found);
      return found;
    },
    getByUid: (uid) => asStored(read.byUid.get(uid)),
    list({ group, plural, namespace, limit, after }) {
      const rows =
        namespace === undefined
          ? read.list.all(group, plural, after?.namespace ?? "", after?.name ?? "", limit)
          : read.listIn.all(group, plural, namespace, after?.name ?? "", limit);
      return rows.map(storedFromRow);
    },
    count({ group, plural, namespace, after }) {
      const row =
        namespace === undefined
          ? read.count.get(group, plural, after?.namespace ?? "", after?.name ?? "")
          : read.countIn.get(group, plural, namespace, after?.name ?? "");
      return Number(row?.["count"] ?? 0);
    },
    dependents: (owner) => (owner === undefined ? read.orphans.all() : read.dependents.all(owner)).map(storedFromRow),
    inNamespace: (namespace) => read.inNamespace.all(namespace).map(storedFromRow),
    census: () =>
      read.census.all().map((row) => ({
        group: text(row, "group"),
        plural: text(row, "plural"),
        count: Number(row["count"]),
      })),
    changes: ({ group, plural, behind, limit }) => read.changes.all(group, plural, behind, limit).map(changeFromRow),
    former({ group, plural, behind, namespace, name, upTo = END }) {
      const rows = read.former.all(group, plural, behind, namespace, name, upTo.namespace, upTo.name);
      return rows.map((row) => ({
        namespace: text(row, "namespace"),
        name: text(row, "name"),
        body: typeof row["previous"] === "string" ? row["previous"] : null,
      }));
    },
    revision: () => committed,
    compacted: () => compactedTo,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      if (closed) return;
      closed = true;
      while (scheduled) await new Promise((resolve) => setImmediate(resolve));
      reader.close();
      writer.close();
      lock.close();
    },
  };
}

/** Committed objects that were read or written last, so that the next write of them needs no reading. */
interface RecentObjects {
  get(place: string): StoredObject | undefined;
  /** null: it is gone. */
  put(place: string, object: StoredObject | null): void;
}

/**
 * Keeps at most `largest` characters of JSON: those asked for of late, and those before them, which are forgotten
 * together. A Map in the order of use would be rebuilt again and again.
 */
function makeRecentObjects(largest: number): RecentObjects {
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

function placeOf({ group, plural, namespace, name }: ObjectKey): string {
  return `${group}\n${plural}\n${namespace}\n${name}`;
}

type Row = Readonly<Record<string, unknown>>;

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new Error(`the store's column ${column} holds no text`);
  return value;
}

function keyOf({ group, plural, namespace, name }: ObjectKey): ObjectKey {
  return { group, plural, namespace, name };
}

function keyFromRow(row: Row): ObjectKey {
  return {
    group: text(row, "group"),
    plural: text(row, "plural"),
    namespace: text(row, "namespace"),
    name: text(row, "name"),
  };
}

function storedFromRow(row: Row): StoredObject {
  return { ...keyFromRow(row), uid: text(row, "uid"), revision: Number(row["revision"]), body: text(row, "body") };
}

function asStored(row: Row | undefined): StoredObject | undefined {
  return row === undefined ? undefined : storedFromRow(row);
}

function changeFromRow(row: Row): Change {
  const type = text(row, "type");
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED") throw new Error(`unknown change ${type}`);
  const previous = row["previous"];
  return {
    ...keyFromRow(row),
    type,
    revision: Number(row["revision"]),
    body: text(row, "body"),
    previous: typeof previous === "string" ? previous : null,
  };
}

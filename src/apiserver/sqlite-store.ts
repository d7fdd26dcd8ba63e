import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Fault, isFault } from "../model/fault.ts";
import { makeRecentObjects } from "./recent-objects.ts";
import { notStored } from "./refusals.ts";
import type { Change, ChangeType, CommitListener, Place, Store, StoredObject, Transaction } from "./store.ts";
import {
  makePrivate,
  prepareFile,
  reasonOf,
  SCHEMA_VERSION,
  sqliteCode,
  storageError,
  takeLock,
} from "./store-file.ts";
import type { StoreReport, WrittenChange } from "./store-orders.ts";
import { asStored, changeFromRow, keyFromRow, keyOf, placeOf, type Row, storedFromRow, text } from "./store-rows.ts";
import { prepareReads } from "./store-statements.ts";
import { startStoreWriter } from "./store-writer.ts";

const FILE = "store.db";
/** Behind every name that can be. */
const END: Place = { namespace: "\u{10ffff}", name: "\u{10ffff}" };
const KEPT_REVISIONS = 10_000;
const COMPACT_EVERY = 250;
/** Characters of JSON that are kept in memory. */
const LARGEST_RECENT = 24 * 1024 * 1024;

/** Characters of JSON after which the journal is copied into the file. */
const CHECKPOINT_EVERY = 32 * 1024 * 1024;

/**
 * Opens or makes the store in `folder`. SQLite in WAL mode with synchronous=FULL, written by a thread of its own; this
 * one reads, so that nobody sees what is not on disk yet. `kept` is how many changes the history has at least.
 *
 * @throws Fault PB6002 where another process has it, PB6004 where it cannot be opened.
 */
export function openStore(
  folder: string,
  timed: CommitListener = () => undefined,
  kept: number = KEPT_REVISIONS,
): Store {
  const file = join(folder, FILE);
  const lock = takeLock(folder);
  let maker: DatabaseSync | undefined;
  let reader: DatabaseSync | undefined;
  try {
    makePrivate(file);
    maker = new DatabaseSync(file, { timeout: 5_000 });
    prepareFile(maker, file);
    reader = new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
    const store = makeStore(folder, lock, reader, timed, kept);
    maker.close();
    return store;
  } catch (thrown) {
    for (const connection of [reader, maker, lock]) connection?.close();
    if (isFault(thrown)) throw thrown;
    throw new Fault("PB6004", `the store ${file} cannot be opened: ${reasonOf(thrown)}`, {
      place: file,
      cure: "Restore it from a copy, or move it away to start with an empty store.",
      cause: thrown,
    });
  }
}

interface Pending {
  readonly proves: boolean;
  run(transaction: Transaction): () => void;
  reject(error: unknown): void;
}

/** What the works of one commit left at a place; `object` null: nothing. */
interface Left {
  readonly object: StoredObject | null;
  readonly owners: readonly string[];
}

function makeStore(
  folder: string,
  lock: DatabaseSync,
  reader: DatabaseSync,
  timed: CommitListener,
  kept: number,
): Store {
  const read = prepareReads(reader);
  const listeners = new Set<(changes: readonly Change[]) => void>();
  hold();
  let committed = Number(read.newest.get()?.["revision"] ?? 0);
  let compactedTo = Number(read.oldest.get()?.["revision"] ?? 1) - 1;
  const writer = startStoreWriter({ file: join(folder, FILE), schemaVersion: SCHEMA_VERSION });
  let next = committed;
  let unchecked = 0;
  let queue: Pending[] = [];
  /** Settled when nothing is to be written and nothing under way; undefined: that is so. */
  let busy: PromiseWithResolvers<void> | undefined;
  let closed = false;

  let changes: WrittenChange[] = [];
  /** The same as watches see them. */
  let published: Change[] = [];
  let left = new Map<string, Left>();
  const recent = makeRecentObjects(LARGEST_RECENT);
  const transaction: Transaction = {
    get(key) {
      const at = placeOf(key);
      const own = left.get(at);
      if (own !== undefined) return own.object ?? undefined;
      return recent.get(at) ?? asStored(read.get.get(key.group, key.plural, key.namespace, key.name));
    },
    put(key, uid, owners, body) {
      const before = transaction.get(key);
      next += 1;
      const stored: StoredObject = { ...keyOf(key), uid, revision: next, body: body(next) };
      note(before === undefined ? "ADDED" : "MODIFIED", stored, before, owners);
      return stored;
    },
    remove(key, body) {
      const before = transaction.get(key);
      if (before === undefined) throw new Error(`${key.plural} ${key.namespace}/${key.name} is not stored`);
      next += 1;
      const stored: StoredObject = { ...before, revision: next, body: body(next) };
      note("DELETED", stored, before, []);
      return stored;
    },
    inhabited(namespace) {
      if (namespace === "") return false;
      for (const { object } of left.values()) if (object?.namespace === namespace) return true;
      return read.inhabitants.all(namespace, left.size + 1).some(isUntouched);
    },
    holds(group, plural) {
      for (const { object } of left.values()) if (object?.group === group && object.plural === plural) return true;
      return read.holdings.all(group, plural, left.size + 1).some(isUntouched);
    },
    owns(uid) {
      for (const { object, owners } of left.values()) if (object !== null && owners.includes(uid)) return true;
      const touched = new Set(changes.map((change) => change.uid));
      return read.owned.all(uid, touched.size + 1).some((row) => !touched.has(text(row, "uid")));
    },
  };

  /** True for an object of the file that no work of this commit has changed. */
  function isUntouched(row: Row): boolean {
    return !left.has(placeOf(keyFromRow(row)));
  }

  function note(
    type: ChangeType,
    stored: StoredObject,
    before: StoredObject | undefined,
    owners: readonly string[],
  ): void {
    const { uid, revision, body } = stored;
    const change: Change = { ...keyOf(stored), type, revision, body, previous: before?.body ?? null };
    const written = { ...keyOf(stored), type, revision, body, uid, owners, sameUid: before?.uid === uid };
    published.push(change);
    changes.push(written);
    left.set(placeOf(stored), leftBy(written));
  }

  /** Writes all that is to be written, one commit after the other. */
  async function writeAll(): Promise<void> {
    for (;;) {
      // What comes with the same tick, or while the disk is waited for, shares the next commit.
      await new Promise((resolve) => setImmediate(resolve));
      if (queue.length === 0) break;
      await commit();
      if (committed - compactedTo >= kept + Math.min(kept, COMPACT_EVERY)) await compact();
      if (unchecked >= CHECKPOINT_EVERY) await checkpoint();
    }
    busy?.resolve();
    busy = undefined;
  }

  async function commit(): Promise<void> {
    const batch = queue;
    queue = [];
    changes = [];
    published = [];
    left = new Map();
    const begun = performance.now();
    const settle: (() => void)[] = [];
    try {
      for (const pending of batch) settle.push(attempt(pending));
    } catch (thrown) {
      // The file cannot be read: nothing of this is to be relied on.
      const error = storageError(thrown, folder);
      for (const pending of batch) pending.reject(error);
      return;
    }
    const proves = batch.some((pending) => pending.proves);
    if (published.length > 0 || proves) {
      const report = await writer.commit(changes, proves);
      if (!report.done) {
        const error = storageError(errorOf(report), folder);
        for (const pending of batch) pending.reject(error);
        return;
      }
      timed((performance.now() - begun) / 1_000, batch.length);
    }
    if (published.length > 0) {
      // With what is read, or it would be of another revision than the one that is told.
      letGo();
      hold();
      committed = next;
      for (const [at, { object }] of left) recent.put(at, object);
      for (const { body, previous } of published) unchecked += 2 * body.length + (previous?.length ?? 0);
      for (const listener of listeners) listener(published);
    }
    for (const answer of settle) answer();
  }

  /** Runs one work; of one that throws nothing is left. What SQLite itself throws fails all. */
  function attempt(pending: Pending): () => void {
    const noted = changes.length;
    try {
      return pending.run(transaction);
    } catch (thrown) {
      if (sqliteCode(thrown) !== undefined) throw thrown;
      changes.length = noted;
      published.length = noted;
      left = new Map(changes.map((written) => [placeOf(written), leftBy(written)]));
      return () => pending.reject(thrown);
    }
  }

  async function compact(): Promise<void> {
    const upTo = committed - kept;
    const report = await writer.carryOut({ order: "compact", upTo });
    // A disk without room for the deletion keeps the longer history; the next commit tries again.
    if (!report.done) return;
    letGo();
    hold();
    compactedTo = upTo;
  }

  async function checkpoint(): Promise<void> {
    letGo();
    await writer.carryOut({ order: "checkpoint" });
    hold();
    unchecked = 0;
  }

  /** Holds what is read to what is in the file now: the thread may be further than what was told of. */
  function hold(): void {
    try {
      read.begin.run();
      // The state is chosen by the first reading.
      read.newest.get();
    } catch (thrown) {
      // A file that cannot be read says so to whoever reads it.
      if (sqliteCode(thrown) === undefined) throw thrown;
    }
  }

  function letGo(): void {
    if (reader.isTransaction) read.end.run();
  }

  function transact<T>(work: (transaction: Transaction) => T, proves = false): Promise<T> {
    if (closed) return Promise.reject(notStored(false, "the daemon is stopping", folder));
    return new Promise<T>((resolve, reject) => {
      queue.push({
        proves,
        run(inside) {
          const value = work(inside);
          return () => resolve(value);
        },
        reject,
      });
      if (busy !== undefined) return;
      busy = Promise.withResolvers();
      void writeAll();
    });
  }

  return {
    transact,
    prove: () => transact(() => undefined, true),
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
      await busy?.promise;
      // The last to close the file copies the journal into it, which only the thread can.
      reader.close();
      await writer.close();
      lock.close();
    },
  };
}

/** What a change leaves at its place. */
function leftBy(written: WrittenChange): Left {
  const { type, uid, revision, body, owners } = written;
  return { object: type === "DELETED" ? null : { ...keyOf(written), uid, revision, body }, owners };
}

/** What the thread reported, as SQLite throws it. */
function errorOf({ message, errcode }: Extract<StoreReport, { done: false }>): Error {
  return Object.assign(new Error(message), errcode === undefined ? {} : { errcode });
}

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Fault, isFault } from "../model/fault.ts";
import { beginCommit, type CommitBase, type PendingCommit } from "./pending-commit.ts";
import { makeRecentObjects } from "./recent-objects.ts";
import { notStored } from "./refusals.ts";
import type { Change, CommitListener, ObjectKey, Store, StoredObject, Transaction } from "./store.ts";
import {
  makePrivate,
  prepareFile,
  reasonOf,
  SCHEMA_VERSION,
  sqliteCode,
  storageError,
  takeLock,
} from "./store-file.ts";
import type { StoreReport } from "./store-orders.ts";
import { makeStoreQueries } from "./store-queries.ts";
import { asStored, placeOf } from "./store-rows.ts";
import { prepareReads } from "./store-statements.ts";
import { startStoreWriter } from "./store-writer.ts";

const FILE = "store.db";
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

  const recent = makeRecentObjects(LARGEST_RECENT);
  const base: CommitBase = {
    read,
    stored: (key, place) => recent.get(place) ?? committedAt(key),
    nextRevision: () => ++next,
  };

  function committedAt({ group, plural, namespace, name }: ObjectKey): StoredObject | undefined {
    return asStored(read.get.get(group, plural, namespace, name));
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
    const { changes, published, left, attempt } = beginCommit(base);
    const begun = performance.now();
    const settle: (() => void)[] = [];
    try {
      for (const pending of batch) settle.push(answerOf(pending, attempt));
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
      for (const [place, object] of left()) recent.put(place, object);
      for (const { body, previous } of published) unchecked += 2 * body.length + (previous?.length ?? 0);
      for (const listener of listeners) listener(published);
    }
    for (const answer of settle) answer();
  }

  /** Runs one work; how it is answered then. What SQLite itself throws fails all. */
  function answerOf(pending: Pending, attempt: PendingCommit["attempt"]): () => void {
    try {
      return attempt((transaction) => pending.run(transaction));
    } catch (thrown) {
      if (sqliteCode(thrown) !== undefined) throw thrown;
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
      const found = committedAt(key);
      if (found !== undefined) recent.put(at, found);
      return found;
    },
    ...makeStoreQueries(read),
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

/** What the thread reported, as SQLite throws it. */
function errorOf({ message, errcode }: Extract<StoreReport, { done: false }>): Error {
  return Object.assign(new Error(message), errcode === undefined ? {} : { errcode });
}

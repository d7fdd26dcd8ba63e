import type { Change, ChangeType, ObjectKey, StoredObject, Transaction } from "./store.ts";
import type { WrittenChange } from "./store-orders.ts";
import { keyFromRow, keyOf, placeOf, type Row, text } from "./store-rows.ts";
import type { prepareReads } from "./store-statements.ts";

/** What the works of one commit change, as each of them sees it before it is in the file. */
export interface PendingCommit {
  readonly transaction: Transaction;
  /** In the order of their revisions, as the file takes them and as watches see them. */
  readonly changes: readonly WrittenChange[];
  readonly published: readonly Change[];
  /** What is then at each place that was changed; null: nothing. */
  left(): Iterable<readonly [place: string, object: StoredObject | null]>;
  /** Runs one work; of one that throws nothing is left. */
  attempt<T>(work: (transaction: Transaction) => T): T;
}

/** What a commit goes out from. */
export interface CommitBase {
  readonly read: Pick<ReturnType<typeof prepareReads>, "inhabitants" | "holdings" | "owned">;
  /** What is committed at a place, which is that of the key. */
  readonly stored: (key: ObjectKey, place: string) => StoredObject | undefined;
  /** A revision of which there was none before. */
  readonly nextRevision: () => number;
}

/** What the works of one commit left at a place; `object` null: nothing. */
interface Left {
  readonly object: StoredObject | null;
  readonly owners: readonly string[];
}

export function beginCommit({ read, stored, nextRevision }: CommitBase): PendingCommit {
  const changes: WrittenChange[] = [];
  const published: Change[] = [];
  let left = new Map<string, Left>();

  const transaction: Transaction = {
    get(key) {
      const at = placeOf(key);
      const own = left.get(at);
      return own === undefined ? stored(key, at) : (own.object ?? undefined);
    },
    put(key, uid, owners, body) {
      const before = transaction.get(key);
      const revision = nextRevision();
      const object: StoredObject = { ...keyOf(key), uid, revision, body: body(revision) };
      note(before === undefined ? "ADDED" : "MODIFIED", object, before, owners);
      return object;
    },
    remove(key, body) {
      const before = transaction.get(key);
      if (before === undefined) throw new Error(`${key.plural} ${key.namespace}/${key.name} is not stored`);
      const revision = nextRevision();
      const object: StoredObject = { ...before, revision, body: body(revision) };
      note("DELETED", object, before, []);
      return object;
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
    object: StoredObject,
    before: StoredObject | undefined,
    owners: readonly string[],
  ): void {
    const { uid, revision, body } = object;
    const written = { ...keyOf(object), type, revision, body, uid, owners, sameUid: before?.uid === uid };
    published.push({ ...keyOf(object), type, revision, body, previous: before?.body ?? null });
    changes.push(written);
    left.set(placeOf(object), leftBy(written));
  }

  return {
    transaction,
    changes,
    published,
    left: () => left.entries().map(([place, { object }]) => [place, object] as const),
    attempt(work) {
      const noted = changes.length;
      try {
        return work(transaction);
      } catch (thrown) {
        changes.length = noted;
        published.length = noted;
        left = new Map(changes.map((written) => [placeOf(written), leftBy(written)]));
        throw thrown;
      }
    },
  };
}

/** What a change leaves at its place. */
function leftBy(written: WrittenChange): Left {
  const { type, uid, revision, body, owners } = written;
  return { object: type === "DELETED" ? null : { ...keyOf(written), uid, revision, body }, owners };
}

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
  /**
   * Runs `work` together with what else is to be written by then; settles after their commit is on disk. A throw undoes
   * this work only.
   */
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
  /** Changes behind a revision in order, each read when it is asked for; all in one tick, for the file waits meanwhile. */
  changes(query: { group: string; plural: string; behind: number }): Generator<Change>;
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

import type { ChangeType, ObjectKey } from "./store.ts";

/** What the thread that changes the store's file is started with. */
export interface StoreThreadData {
  readonly file: string;
  readonly schemaVersion: number;
}

/** A change as it is put into the file. */
export interface WrittenChange<Text = string> extends ObjectKey {
  readonly type: ChangeType;
  readonly revision: number;
  readonly body: Text;
  readonly uid: string;
  /** UIDs of the object's owners from now on. */
  readonly owners: readonly string[];
  /** True where the place had an object of this UID before. */
  readonly sameUid: boolean;
}

/** A text in UTF-8 that lies in shared memory, which costs a tenth of what sending it does. */
export interface SharedText {
  readonly start: number;
  readonly end: number;
}

/** What that thread does, one after the other; each is reported. */
export type StoreOrder =
  /** In one transaction; `proves`: the medium is written to even where there are no changes. */
  | {
      readonly order: "commit";
      readonly changes: readonly WrittenChange<SharedText>[];
      readonly texts: SharedArrayBuffer;
      readonly proves: boolean;
    }
  | { readonly order: "compact"; readonly upTo: number }
  /** Copies the journal into the file, so that the next commit begins it anew. No transaction may be reading meanwhile. */
  | { readonly order: "checkpoint" }
  | { readonly order: "close" };

/** How it went; `errcode` is SQLite's, where it was SQLite that refused. */
export type StoreReport =
  | { readonly done: true }
  | { readonly done: false; readonly message: string; readonly errcode?: number };

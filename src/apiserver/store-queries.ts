import type { Place, Store } from "./store.ts";
import { asStored, changeFromRow, storedFromRow, text } from "./store-rows.ts";
import type { prepareReads } from "./store-statements.ts";

/** Behind every name that can be. */
const END: Place = { namespace: "\u{10ffff}", name: "\u{10ffff}" };

/** What is asked of the store's file, as it is when it is asked. */
export type StoreQueries = Pick<
  Store,
  "getByUid" | "list" | "count" | "dependents" | "inNamespace" | "census" | "changes" | "former"
>;

export function makeStoreQueries(read: ReturnType<typeof prepareReads>): StoreQueries {
  return {
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
    *changes({ group, plural, behind }) {
      for (const row of read.changes.iterate(group, plural, behind)) yield changeFromRow(row);
    },
    former({ group, plural, behind, namespace, name, upTo = END }) {
      const rows = read.former.all(group, plural, behind, namespace, name, upTo.namespace, upTo.name);
      return rows.map((row) => ({
        namespace: text(row, "namespace"),
        name: text(row, "name"),
        body: typeof row["previous"] === "string" ? row["previous"] : null,
      }));
    },
  };
}

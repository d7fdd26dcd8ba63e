import type { Change, ObjectKey, StoredObject } from "./store.ts";

export function placeOf({ group, plural, namespace, name }: ObjectKey): string {
  return `${group}\n${plural}\n${namespace}\n${name}`;
}

export type Row = Readonly<Record<string, unknown>>;

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw new Error(`the store's column ${column} holds no text`);
  return value;
}

export function keyOf({ group, plural, namespace, name }: ObjectKey): ObjectKey {
  return { group, plural, namespace, name };
}

export function keyFromRow(row: Row): ObjectKey {
  return {
    group: text(row, "group"),
    plural: text(row, "plural"),
    namespace: text(row, "namespace"),
    name: text(row, "name"),
  };
}

export function storedFromRow(row: Row): StoredObject {
  return { ...keyFromRow(row), uid: text(row, "uid"), revision: Number(row["revision"]), body: text(row, "body") };
}

export function asStored(row: Row | undefined): StoredObject | undefined {
  return row === undefined ? undefined : storedFromRow(row);
}

export function changeFromRow(row: Row): Change {
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

import type { DatabaseSync, StatementSync } from "node:sqlite";

const OBJECT_COLUMNS = 'grp AS "group", plural, namespace, name, uid, revision, body';

/** What changes the file. */
export function prepareWrites(
  writer: DatabaseSync,
  schemaVersion: number,
): Record<
  | "begin"
  | "commit"
  | "rollback"
  | "prove"
  | "checkpoint"
  | "put"
  | "change"
  | "remove"
  | "note"
  | "own"
  | "disown"
  | "compact",
  StatementSync
> {
  return {
    begin: writer.prepare("BEGIN IMMEDIATE"),
    commit: writer.prepare("COMMIT"),
    rollback: writer.prepare("ROLLBACK"),
    // Written as it is: it passes through the journal to the disk like any other write.
    prove: writer.prepare(`PRAGMA user_version=${schemaVersion}`),
    checkpoint: writer.prepare("PRAGMA wal_checkpoint(PASSIVE)"),
    put: writer.prepare(
      `INSERT INTO objects (grp, plural, namespace, name, uid, revision, body) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (grp, plural, namespace, name) DO UPDATE SET uid = excluded.uid, revision = excluded.revision, body = excluded.body`,
    ),
    change: writer.prepare(
      "UPDATE objects SET revision = ?, body = ? WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?",
    ),
    remove: writer.prepare("DELETE FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?"),
    note: writer.prepare(
      `INSERT INTO history (revision, type, grp, plural, namespace, name, body, previous)
       VALUES (?, ?, ?, ?, ?, ?, ?,
         (SELECT body FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?))`,
    ),
    own: writer.prepare("INSERT OR IGNORE INTO owners (owner, uid) VALUES (?, ?)"),
    disown: writer.prepare("DELETE FROM owners WHERE uid = ?"),
    compact: writer.prepare("DELETE FROM history WHERE revision <= ?"),
  };
}

/** What is read of it. */
export function prepareReads(
  reader: DatabaseSync,
): Record<
  | "begin"
  | "end"
  | "get"
  | "byUid"
  | "list"
  | "listIn"
  | "count"
  | "countIn"
  | "dependents"
  | "orphans"
  | "inNamespace"
  | "census"
  | "changes"
  | "former"
  | "inhabitants"
  | "holdings"
  | "owned"
  | "newest"
  | "oldest",
  StatementSync
> {
  const objects = `SELECT ${OBJECT_COLUMNS} FROM objects`;
  const ofResource = "WHERE grp = ? AND plural = ?";
  return {
    begin: reader.prepare("BEGIN"),
    end: reader.prepare("COMMIT"),
    get: reader.prepare(`${objects} ${ofResource} AND namespace = ? AND name = ?`),
    byUid: reader.prepare(`${objects} WHERE uid = ?`),
    list: reader.prepare(`${objects} ${ofResource} AND (namespace, name) > (?, ?) ORDER BY namespace, name LIMIT ?`),
    listIn: reader.prepare(`${objects} ${ofResource} AND namespace = ? AND name > ? ORDER BY name LIMIT ?`),
    count: reader.prepare(`SELECT count(*) AS count FROM objects ${ofResource} AND (namespace, name) > (?, ?)`),
    countIn: reader.prepare(`SELECT count(*) AS count FROM objects ${ofResource} AND namespace = ? AND name > ?`),
    dependents: reader.prepare(`${objects} WHERE uid IN (SELECT uid FROM owners WHERE owner = ?)`),
    orphans: reader.prepare(
      `${objects} WHERE uid IN (SELECT uid FROM owners WHERE owner NOT IN (SELECT uid FROM objects))`,
    ),
    inNamespace: reader.prepare(`${objects} WHERE namespace = ? AND namespace != ''`),
    census: reader.prepare('SELECT grp AS "group", plural, count(*) AS count FROM objects GROUP BY grp, plural'),
    changes: reader.prepare(
      `SELECT type, grp AS "group", plural, namespace, name, revision, body, previous FROM history
       WHERE grp = ? AND plural = ? AND revision > ? ORDER BY revision`,
    ),
    // Beside min(), SQLite gives the other columns of the row that has it.
    former: reader.prepare(
      `SELECT namespace, name, previous, min(revision) FROM history ${ofResource} AND revision > ?
       AND (namespace, name) > (?, ?) AND (namespace, name) <= (?, ?) GROUP BY namespace, name ORDER BY namespace, name`,
    ),
    inhabitants: reader.prepare(`${objects} WHERE namespace = ? AND namespace != '' LIMIT ?`),
    holdings: reader.prepare(`${objects} ${ofResource} LIMIT ?`),
    owned: reader.prepare("SELECT uid FROM owners WHERE owner = ? LIMIT ?"),
    newest: reader.prepare("SELECT max(revision) AS revision FROM history"),
    oldest: reader.prepare("SELECT min(revision) AS revision FROM history"),
  };
}

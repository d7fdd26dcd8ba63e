import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { Fault } from "../model/fault.ts";
import { notStored } from "./refusals.ts";

const SCHEMA_VERSION = 1;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS objects (
  grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  uid TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (grp, plural, namespace, name)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS objects_uid ON objects (uid);
CREATE INDEX IF NOT EXISTS objects_namespace ON objects (namespace) WHERE namespace != '';
CREATE TABLE IF NOT EXISTS history (
  revision INTEGER PRIMARY KEY, type TEXT NOT NULL,
  grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  body TEXT NOT NULL, previous TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS history_resource ON history (grp, plural, revision);
CREATE TABLE IF NOT EXISTS owners (
  owner TEXT NOT NULL, uid TEXT NOT NULL, PRIMARY KEY (owner, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS owners_uid ON owners (uid);
`;

const OBJECT_COLUMNS = 'grp AS "group", plural, namespace, name, uid, revision, body';

/** Held by the kernel for the life of this process, so a daemon that was killed leaves no lock behind. */
export function takeLock(folder: string): DatabaseSync {
  const file = join(folder, "lock.db");
  try {
    const lock = new DatabaseSync(file, { timeout: 0 });
    try {
      lock.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE");
      return lock;
    } catch (thrown) {
      lock.close();
      throw thrown;
    }
  } catch (thrown) {
    if (sqliteCode(thrown) === SQLITE_BUSY) {
      throw new Fault("PB6002", `another daemon uses the data folder of ${file}`, {
        place: folder,
        cure: "Stop it with `patchbay down`, or choose another folder with --data-dir.",
      });
    }
    throw new Fault("PB6004", `${file} cannot be opened: ${reasonOf(thrown)}`, {
      place: file,
      cure: "Look at the folder's rights and the disk's free space.",
      cause: thrown,
    });
  }
}

/** Sets SQLite up for durability, makes the tables, refuses a layout that is not known. */
export function prepareFile(writer: DatabaseSync, file: string): void {
  const found = Number(writer.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (found > SCHEMA_VERSION) {
    throw new Fault("PB6004", `the store ${file} was written by a newer version (its layout is ${found})`, {
      place: file,
      cure: `Use that version; this one knows layouts up to ${SCHEMA_VERSION}.`,
    });
  }
  // A page that many commits change is copied into the file once for all of them.
  writer.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;
    PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-16384`);
  writer.exec(`${SCHEMA} PRAGMA user_version=${SCHEMA_VERSION}`);
}

/** Writes what is there already: it passes through the journal to the disk like any other write. */
export function proveWritable(writer: DatabaseSync): void {
  writer.exec(`PRAGMA user_version=${SCHEMA_VERSION}`);
}

export function prepareWrites(
  writer: DatabaseSync,
): Record<
  | "begin"
  | "commit"
  | "savepoint"
  | "release"
  | "get"
  | "put"
  | "change"
  | "remove"
  | "note"
  | "own"
  | "disown"
  | "inhabited"
  | "holds"
  | "owns"
  | "compact",
  StatementSync
> {
  return {
    begin: writer.prepare("BEGIN IMMEDIATE"),
    commit: writer.prepare("COMMIT"),
    savepoint: writer.prepare("SAVEPOINT work"),
    release: writer.prepare("RELEASE work"),
    get: writer.prepare(
      `SELECT ${OBJECT_COLUMNS} FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?`,
    ),
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
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    own: writer.prepare("INSERT OR IGNORE INTO owners (owner, uid) VALUES (?, ?)"),
    disown: writer.prepare("DELETE FROM owners WHERE uid = ?"),
    inhabited: writer.prepare("SELECT 1 AS found FROM objects WHERE namespace = ? AND namespace != '' LIMIT 1"),
    holds: writer.prepare("SELECT 1 AS found FROM objects WHERE grp = ? AND plural = ? LIMIT 1"),
    owns: writer.prepare("SELECT 1 AS found FROM owners WHERE owner = ? LIMIT 1"),
    compact: writer.prepare("DELETE FROM history WHERE revision <= ?"),
  };
}

export function prepareReads(
  reader: DatabaseSync,
): Record<
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
  | "newest"
  | "oldest",
  StatementSync
> {
  const objects = `SELECT ${OBJECT_COLUMNS} FROM objects`;
  const ofResource = "WHERE grp = ? AND plural = ?";
  return {
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
       WHERE grp = ? AND plural = ? AND revision > ? ORDER BY revision LIMIT ?`,
    ),
    // Beside min(), SQLite gives the other columns of the row that has it.
    former: reader.prepare(
      `SELECT namespace, name, previous, min(revision) FROM history ${ofResource} AND revision > ?
       AND (namespace, name) > (?, ?) AND (namespace, name) <= (?, ?) GROUP BY namespace, name ORDER BY namespace, name`,
    ),
    newest: reader.prepare("SELECT max(revision) AS revision FROM history"),
    oldest: reader.prepare("SELECT min(revision) AS revision FROM history"),
  };
}

const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/** SQLite's primary result code, where it was SQLite that threw. */
export function sqliteCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !("errcode" in thrown) || typeof thrown.errcode !== "number") return undefined;
  return thrown.errcode & 0xff;
}

export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** What SQLite threw, as an answer to the client; anything else as it is. */
export function storageError(thrown: unknown, folder: string): unknown {
  const code = sqliteCode(thrown);
  if (code === undefined) return thrown;
  return notStored(code === SQLITE_FULL, reasonOf(thrown), folder);
}

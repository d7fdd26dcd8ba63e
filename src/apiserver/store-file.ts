import { chmodSync, closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Fault } from "../model/fault.ts";
import { notStored } from "./refusals.ts";

/** In the file as `user_version`. */
export const SCHEMA_VERSION = 1;

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

/**
 * Makes a file that only the owner reads, or makes it so; SQLite gives the files beside it the same rights.
 *
 * One that is there is not opened: closing it would end the locks that this process has on it (POSIX).
 */
export function makePrivate(file: string): void {
  if (existsSync(file)) chmodSync(file, 0o600);
  else closeSync(openSync(file, "a", 0o600));
}

/** Held by the kernel for the life of this process, so a daemon that was killed leaves no lock behind. */
export function takeLock(folder: string): DatabaseSync {
  const file = join(folder, "lock.db");
  try {
    makePrivate(file);
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
  writer.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  writer.exec(`${SCHEMA} PRAGMA user_version=${SCHEMA_VERSION}`);
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

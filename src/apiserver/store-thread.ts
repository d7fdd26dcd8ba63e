import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { SharedText, StoreOrder, StoreReport, StoreThreadData, WrittenChange } from "./store-orders.ts";
import { prepareWrites } from "./store-statements.ts";

// The thread that changes the store's file. It waits for the disk while the main one goes on with requests.

function dataOf(data: unknown): StoreThreadData {
  if (typeof data === "object" && data !== null && "file" in data && "schemaVersion" in data) {
    const { file, schemaVersion } = data;
    if (typeof file === "string" && typeof schemaVersion === "number") return { file, schemaVersion };
  }
  throw new TypeError("this module runs as a thread of store-writer.ts");
}

const { file, schemaVersion } = dataOf(workerData);
const database = new DatabaseSync(file, { timeout: 5_000 });
// What is committed is on the disk. The main thread says when the journal is to be copied into the file.
database.exec(
  "PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-16384",
);
const write = prepareWrites(database, schemaVersion);

function carryOut(order: StoreOrder): void {
  switch (order.order) {
    case "commit":
      write.begin.run();
      apply(order.changes, Buffer.from(order.texts));
      if (order.proves) write.prove.run();
      write.commit.run();
      return;
    case "compact":
      write.compact.run(order.upTo);
      return;
    case "checkpoint":
      write.checkpoint.get();
      return;
    case "close":
      database.close();
      return;
  }
}

function apply(changes: readonly WrittenChange<SharedText>[], texts: Buffer): void {
  for (const { group, plural, namespace, name, revision, type, body: at, uid, owners, sameUid } of changes) {
    const body = texts.toString("utf8", at.start, at.end);
    // The object that is there goes into the history before another takes its place.
    write.note.run(revision, type, group, plural, namespace, name, body, group, plural, namespace, name);
    if (type === "DELETED") write.remove.run(group, plural, namespace, name);
    // The index of UIDs is left alone where it can be: its pages lie all over the file.
    else if (sameUid) write.change.run(revision, body, group, plural, namespace, name);
    else write.put.run(group, plural, namespace, name, uid, revision, body);
    write.disown.run(uid);
    for (const owner of owners) write.own.run(owner, uid);
  }
}

function reportOf(order: StoreOrder): StoreReport {
  try {
    carryOut(order);
    return { done: true };
  } catch (thrown) {
    if (database.isTransaction) write.rollback.run();
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const code = thrown instanceof Error && "errcode" in thrown ? thrown.errcode : undefined;
    return { done: false, message, ...(typeof code === "number" ? { errcode: code } : {}) };
  }
}

parentPort?.on("message", (order: StoreOrder) => {
  parentPort?.postMessage(reportOf(order));
  if (order.order === "close") parentPort?.close();
});

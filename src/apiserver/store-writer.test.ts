import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { openStore } from "./sqlite-store.ts";
import { SCHEMA_VERSION } from "./store-file.ts";
import type { WrittenChange } from "./store-orders.ts";
import { startStoreWriter } from "./store-writer.ts";

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-writer-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function written(name: string, uid: string, revision: number): WrittenChange {
  const place = { group: "", plural: "things", namespace: "default", name };
  return { ...place, type: "ADDED", revision, body: `{"of":"${name}"}`, uid, owners: [], sameUid: false };
}

test("a commit that SQLite refuses leaves nothing, and the next one goes on", async (t) => {
  const folder = folderOf(t);
  await openStore(folder).close();
  const file = join(folder, "store.db");
  const writer = startStoreWriter({ file, schemaVersion: SCHEMA_VERSION });
  // Two objects cannot have one UID.
  const refused = await writer.commit([written("a", "one", 1), written("b", "one", 2)], false);
  assert.equal(refused.done, false);
  assert.match(refused.done ? "" : refused.message, /UNIQUE/);
  assert.deepEqual(await writer.commit([written("c", "two", 1)], true), { done: true });
  assert.deepEqual(await writer.carryOut({ order: "checkpoint" }), { done: true });
  await writer.close();
  const database = new DatabaseSync(file);
  t.after(() => database.close());
  assert.deepEqual(
    database
      .prepare("SELECT name FROM objects")
      .all()
      .map(({ name }) => name),
    ["c"],
  );
});

test("a thread that cannot do its work fails every order, and its end is not waited for", async (t) => {
  const writer = startStoreWriter({ file: join(folderOf(t), "no", "store.db"), schemaVersion: SCHEMA_VERSION });
  for (const order of [{ order: "compact", upTo: 1 }, { order: "checkpoint" }] as const) {
    const report = await writer.carryOut(order);
    assert.equal(report.done, false);
    assert.match(report.done ? "" : report.message, /unable to open/);
  }
  await writer.close();
});

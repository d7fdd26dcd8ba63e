import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { isFault } from "../model/fault.ts";
import { openStore } from "./sqlite-store.ts";
import type { Change, ObjectKey, Store, Transaction } from "./store.ts";

const key = (name: string, namespace = "default"): ObjectKey => ({ group: "", plural: "things", namespace, name });
const bodyOf = (value: string) => (revision: number) => JSON.stringify({ value, revision });

let folder: string;
let store: Store;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-store-"));
  store = openStore(folder);
});

afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const put = (name: string, value: string, namespace?: string, owners: string[] = []) =>
  store.transact((transaction) => {
    const at = key(name, namespace);
    return transaction.put(at, transaction.get(at)?.uid ?? randomUUID(), owners, bodyOf(value));
  });

describe("the store", () => {
  test("keeps what it acknowledged over a restart, with its revisions", async () => {
    const first = await put("a", "1");
    await put("a", "2");
    await store.close();
    store = openStore(folder);
    assert.equal(store.get(key("a"))?.body, JSON.stringify({ value: "2", revision: 2 }));
    assert.equal(store.get(key("a"))?.uid, first.uid);
    assert.equal(store.revision(), 2);
    assert.equal((await put("b", "1")).revision, 3);
  });

  test("keeps large texts of any characters, several in one commit", async () => {
    const texts = ["ü€\u{1f600}".repeat(200_000), "small", "\u0000\ud800".repeat(100_000), ""];
    await Promise.all(texts.map((value, index) => put(`large-${index}`, value)));
    await store.close();
    store = openStore(folder);
    for (const [index, value] of texts.entries()) {
      assert.equal(store.get(key(`large-${index}`))?.body, bodyOf(value)(index + 1));
    }
  });

  test("shows each work what the works before it left, and nothing of those that failed", async () => {
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c"),
      removes: fc.boolean(),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 6 }), async (ticks) => {
        for (const name of ["a", "b", "c"]) await remove(name);
        const model = new Map<string, string>();
        let value = 0;
        for (const tick of ticks) {
          const works = tick.map(({ name, removes, fails }) =>
            store.transact((transaction) => {
              const at = key(name);
              assert.equal(valueIn(transaction.get(at)?.body), model.get(name));
              value += 1;
              const is = String(value);
              if (!removes) transaction.put(at, transaction.get(at)?.uid ?? randomUUID(), [], bodyOf(is));
              else if (model.has(name)) transaction.remove(at, bodyOf("gone"));
              assert.equal(valueIn(transaction.get(at)?.body), removes ? undefined : is);
              if (fails) throw new RangeError("no");
              if (removes) model.delete(name);
              else model.set(name, is);
            }),
          );
          for (const done of await Promise.allSettled(works)) {
            if (done.status === "rejected") assert.ok(done.reason instanceof RangeError, String(done.reason));
          }
          for (const name of ["a", "b", "c"]) assert.equal(valueIn(store.get(key(name))?.body), model.get(name));
          const listed = store.list({ group: "", plural: "things", limit: 10 });
          assert.deepEqual(
            new Map(listed.map(({ name, body }) => [name, valueIn(body)])),
            new Map([...model].toSorted()),
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  function valueIn(body: string | undefined): string | undefined {
    if (body === undefined) return undefined;
    const { value } = JSON.parse(body) as { value: string };
    return value;
  }

  const remove = (name: string) =>
    store.transact((transaction) => {
      if (transaction.get(key(name)) !== undefined) transaction.remove(key(name), bodyOf("gone"));
    });

  test("lets one of two works of the same tick fail alone", async () => {
    const good = put("a", "1");
    const bad = store.transact((transaction) => {
      transaction.put(key("b"), randomUUID(), [], bodyOf("1"));
      throw new RangeError("no");
    });
    const later = put("c", "1");
    await assert.rejects(bad, RangeError);
    await Promise.all([good, later]);
    assert.deepEqual(
      store.list({ group: "", plural: "things", limit: 10 }).map(({ name }) => name),
      ["a", "c"],
    );
    const changes = store.changes({ group: "", plural: "things", behind: 0 });
    assert.deepEqual(changes.map(({ name }) => name).toArray(), ["a", "c"]);
  });

  test("reads changes one by one, as they are asked for", async () => {
    const large = "x".repeat(1_000_000);
    for (let index = 0; index < 40; index += 1) await put("large", `${index}${large}`);
    const before = process.memoryUsage().heapUsed;
    const changes = store.changes({ group: "", plural: "things", behind: 0 });
    assert.equal(changes.next().value?.revision, 1);
    // All of them, with what they changed, have some 80 MB.
    assert.ok(process.memoryUsage().heapUsed - before < 20_000_000);
    changes.return(undefined);
    await put("small", "1");
    assert.deepEqual(store.changes({ group: "", plural: "things", behind: 40 }).toArray().length, 1);
  });

  test("shows nothing before it is committed, and tells commits in order", async () => {
    const heard: Change[] = [];
    store.subscribe((changes) => heard.push(...changes));
    const writing = store.transact((transaction) => {
      const stored = transaction.put(key("a"), randomUUID(), [], bodyOf("1"));
      assert.equal(store.get(key("a")), undefined);
      assert.equal(transaction.get(key("a"))?.body, stored.body);
      return stored;
    });
    await writing;
    await put("a", "2");
    await store.transact((transaction) => transaction.remove(key("a"), bodyOf("gone")));
    assert.deepEqual(
      heard.map(({ type, revision, previous }) => [type, revision, previous === null]),
      [
        ["ADDED", 1, true],
        ["MODIFIED", 2, false],
        ["DELETED", 3, false],
      ],
    );
    assert.deepEqual(store.changes({ group: "", plural: "things", behind: 0 }).toArray(), heard);
  });

  test("finds dependents of an owner, and those whose owner is gone", async () => {
    const owner = await put("owner", "1");
    await put("child", "1", "default", [owner.uid]);
    await put("stray", "1", "default", ["nobody"]);
    assert.deepEqual(
      store.dependents(owner.uid).map(({ name }) => name),
      ["child"],
    );
    assert.deepEqual(
      store.dependents(undefined).map(({ name }) => name),
      ["stray"],
    );
  });

  test("tells a work what lies in a namespace, of a resource and below an owner, whatever the works before it changed", async () => {
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c"),
      namespace: fc.constantFrom("one", "two"),
      owners: fc.subarray(["x", "y"]),
      removes: fc.boolean(),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 5 }), { maxLength: 4 }), async (commits) => {
        await store.transact((transaction) => {
          for (const { namespace, name } of store.list({ group: "", plural: "things", limit: 100 })) {
            transaction.remove(key(name, namespace), bodyOf("gone"));
          }
        });
        let model = new Map<string, readonly string[]>();
        const look = (transaction: Transaction): void => {
          const places = [...model.keys()];
          for (const namespace of ["one", "two"]) {
            assert.equal(
              transaction.inhabited(namespace),
              places.some((place) => place.startsWith(`${namespace}/`)),
            );
          }
          for (const owner of ["x", "y"]) {
            assert.equal(
              transaction.owns(owner),
              [...model.values()].some((owners) => owners.includes(owner)),
            );
          }
          assert.equal(transaction.holds("", "things"), places.length > 0);
          assert.equal(transaction.holds("", "others"), false);
        };
        for (const works of commits) {
          const writing = works.map(({ name, namespace, owners, removes, fails }) =>
            store.transact((transaction) => {
              look(transaction);
              const [at, place, before] = [key(name, namespace), `${namespace}/${name}`, new Map(model)];
              if (!removes) {
                transaction.put(at, transaction.get(at)?.uid ?? randomUUID(), owners, bodyOf("1"));
                model.set(place, owners);
              } else if (model.delete(place)) {
                transaction.remove(at, bodyOf("gone"));
              }
              look(transaction);
              if (!fails) return;
              model = before;
              throw new RangeError("no");
            }),
          );
          for (const done of await Promise.allSettled(writing)) {
            if (done.status === "rejected") assert.ok(done.reason instanceof RangeError, String(done.reason));
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test("lists in pages, in the order of namespace and name", async () => {
    const names = fc.uniqueArray(fc.tuple(fc.constantFrom("a", "b"), fc.stringMatching(/^[a-z0-9-]{1,8}$/)), {
      selector: ([namespace, name]) => `${namespace}/${name}`,
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(names, fc.integer({ min: 1, max: 7 }), async (objects, limit) => {
        await store.transact((transaction) => {
          for (const { namespace, name } of store.list({ group: "", plural: "things", limit: 100 })) {
            transaction.remove(key(name, namespace), bodyOf("gone"));
          }
          for (const [namespace, name] of objects) transaction.put(key(name, namespace), randomUUID(), [], bodyOf("1"));
        });
        const found: string[] = [];
        let after: { namespace: string; name: string } | undefined;
        for (;;) {
          const page = store.list({ group: "", plural: "things", limit, ...(after === undefined ? {} : { after }) });
          found.push(...page.map(({ namespace, name }) => `${namespace}/${name}`));
          const last = page.at(-1);
          if (last === undefined) break;
          after = { namespace: last.namespace, name: last.name };
        }
        // SQLite compares bytes; these names are ASCII.
        const wanted = objects.toSorted((left, right) => (left.join("\0") < right.join("\0") ? -1 : 1));
        assert.deepEqual(
          found,
          wanted.map((each) => each.join("/")),
        );
      }),
      { numRuns: 40 },
    );
  });

  test("forgets old history and keeps the count of revisions", async () => {
    for (let batch = 0; batch < 12; batch += 1) {
      await store.transact((transaction) => {
        for (let index = 0; index < 1_000; index += 1) transaction.put(key("a"), "one-uid", [], bodyOf(`${index}`));
      });
    }
    assert.equal(store.revision(), 12_000);
    // What is old goes after the write that made it old was answered.
    await store.prove();
    assert.ok(store.compacted() > 0);
    const compacted = store.compacted();
    const [oldest] = store.changes({ group: "", plural: "things", behind: 0 });
    assert.equal(oldest?.revision, compacted + 1);
    await store.close();
    store = openStore(folder);
    assert.equal(store.revision(), 12_000);
    assert.equal(store.compacted(), compacted);
  });

  test("is not opened twice", () => {
    assert.throws(
      () => openStore(folder),
      (thrown) => isFault(thrown, "PB6002"),
    );
  });

  test("of a newer version, or damaged, is refused with the file's name", async () => {
    await put("a", "1");
    await store.close();
    const database = new DatabaseSync(join(folder, "store.db"));
    database.exec("PRAGMA user_version=99");
    database.close();
    assert.throws(
      () => openStore(folder),
      (thrown) => isFault(thrown, "PB6004") && /newer version/.test(thrown.message),
    );
    truncateSync(join(folder, "store.db"));
    writeFileSync(
      join(folder, "store.db"),
      "this is no database at all, but longer than a header of SQLite is".repeat(20),
    );
    assert.throws(
      () => openStore(folder),
      (thrown) => isFault(thrown, "PB6004") && thrown.place === join(folder, "store.db"),
    );
    rmSync(join(folder, "store.db"));
    store = openStore(folder);
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  afterUpdate,
  entryOf,
  managerOfUserAgent,
  managerProblem,
  type Ownership,
  readOwnerships,
} from "./managed-fields.ts";

const update = (manager: string) => ({ manager, operation: "Update", apiVersion: "v1" }) as const;
const changed = (...names: string[]) => ({
  added: {},
  modified: Object.fromEntries(names.map((name) => [`f:${name}`, {}])),
  removed: {},
});

describe("owners after an update", () => {
  test("have the writer own what it set, and nobody what it removed", () => {
    const entries = [
      entryOf({ manager: "one", operation: "Apply", apiVersion: "v1" }, { "f:a": {}, "f:b": {} }, "1"),
      entryOf(update("two"), { "f:c": {} }, "1"),
    ];
    const after = afterUpdate(
      entries,
      { added: { "f:d": {} }, modified: { "f:a": {} }, removed: { "f:c": {} } },
      update("three"),
      "2",
    );
    assert.deepEqual(
      after.map(({ manager, fieldsV1, time }) => [manager, Object.keys(fieldsV1), time]),
      [
        ["one", ["f:b"], "1"],
        ["three", ["f:a", "f:d"], "2"],
      ],
    );
    const { metadata: _, ...none } = { metadata: {}, ...changed() };
    assert.equal(afterUpdate(entries, none, update("three"), "2"), entries);
  });

  test("are those of each subresource and version by themselves", () => {
    const status = { ...update("one"), subresource: "status" };
    const first = afterUpdate([], changed("a"), update("one"), "1");
    const both = afterUpdate(first, changed("b"), status, "2");
    const third = afterUpdate(both, changed("c"), { ...update("one"), apiVersion: "v2" }, "3");
    assert.deepEqual(
      third.map(({ subresource, apiVersion }) => [subresource, apiVersion]),
      [
        [undefined, "v1"],
        ["status", "v1"],
        [undefined, "v2"],
      ],
    );
  });

  test("do not own what only the API decides", () => {
    const changes = {
      added: {},
      modified: { "f:metadata": { "f:generation": {}, "f:resourceVersion": {} } },
      removed: {},
    };
    assert.deepEqual(afterUpdate([], changes, update("one"), "1"), []);
  });

  test("are at most ten, the oldest together, and no field is lost", () => {
    let entries: readonly Ownership[] = [];
    for (let index = 10; index < 40; index += 1) {
      entries = afterUpdate(entries, changed(`f${index}`), update(`m${index}`), String(index));
    }
    assert.equal(entries.length, 10);
    assert.equal(entries[0]?.manager, "ancient-changes");
    assert.equal(entries.flatMap(({ fieldsV1 }) => Object.keys(fieldsV1)).length, 30);
    assert.equal(entries.at(-1)?.manager, "m39");
  });
});

describe("what a client says of owners", () => {
  test("may be that there are none", () => {
    assert.deepEqual(readOwnerships([]), { causes: [] });
    assert.deepEqual(readOwnerships([{}]), { causes: [] });
  });

  test("is read as entries", () => {
    const entry = {
      manager: "m",
      operation: "Apply",
      apiVersion: "v1",
      time: "2026-01-01T00:00:00Z",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:a": {} },
    };
    assert.deepEqual(readOwnerships([entry]), { entries: [entry], causes: [] });
  });

  test("is refused with its place where it is none", () => {
    const entry = { manager: "m", operation: "Apply", apiVersion: "v1", fieldsV1: {} };
    for (const [wrong, place] of [
      [{ ...entry, operation: "Steal" }, "[0].operation"],
      [{ ...entry, fieldsType: "FieldsV2" }, "[0].fieldsType"],
      [{ ...entry, fieldsV1: { a: {} } }, "[0].fieldsV1"],
      [{ ...entry, manager: "m\u0007" }, "[0].manager"],
      [{ ...entry, apiVersion: undefined }, "[0].apiVersion"],
      [{ ...entry, time: "noon" }, "[0].time"],
      ["entry", "[0]"],
    ] as const) {
      assert.deepEqual(
        readOwnerships([wrong]).causes.map(({ field }) => field),
        [`metadata.managedFields${place}`],
      );
    }
    assert.equal(readOwnerships("all").causes.length, 1);
  });
});

test("managers have names of at most 128 printable characters, by default their program's", () => {
  assert.equal(managerProblem("kubectl edit (ä)"), undefined);
  assert.match(managerProblem("a".repeat(129)) ?? "", /^Too long/);
  assert.match(managerProblem("a\nb") ?? "", /unprintable/);
  assert.equal(managerOfUserAgent("kubectl/v1.32.4 (linux/amd64)"), "kubectl");
  assert.equal(managerOfUserAgent("a\u0001b"), "ab");
  assert.equal(managerOfUserAgent(undefined), "unknown");
  assert.equal(managerOfUserAgent("x".repeat(200)).length, 128);
});

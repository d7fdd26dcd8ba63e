import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asSet, atomic, keyed, list, map, object, text, whole } from "../model/api/schema.ts";
import { changesOf, fieldsOf, isWithoutChanges } from "./field-changes.ts";
import { NO_FIELDS } from "./field-set.ts";

const port = object("", {}, { port: whole(""), protocol: { ...text(""), default: "TCP" }, name: text("") });
const schema = object(
  "",
  {},
  {
    size: text(""),
    inner: object("", {}, { one: text(""), two: text("") }),
    ports: keyed(list("", port), "port", "protocol"),
    tags: asSet(list("", text(""))),
    whole: list("", text("")),
    labels: map("", text("")),
    chosen: atomic(map("", text(""))),
  },
);

describe("the fields that a configuration owns", () => {
  test("are its plain values, elements by their keys and values, and atomic parts as one", () => {
    const config = {
      size: "large",
      inner: { one: "1" },
      ports: [{ port: 80 }, { port: 80, protocol: "UDP", name: "dns" }],
      tags: ["a"],
      whole: ["a"],
      labels: { app: "web" },
      chosen: { a: "b" },
    };
    assert.deepEqual(fieldsOf(schema, config), {
      "f:chosen": {},
      "f:inner": { "f:one": {} },
      "f:labels": { "f:app": {} },
      "f:ports": {
        'k:{"port":80,"protocol":"TCP"}': { ".": {}, "f:port": {} },
        'k:{"port":80,"protocol":"UDP"}': { ".": {}, "f:name": {}, "f:port": {}, "f:protocol": {} },
      },
      "f:size": {},
      "f:tags": { 'v:"a"': {} },
      "f:whole": {},
    });
  });

  test("without a schema are those of objects, and lists as one", () => {
    assert.deepEqual(fieldsOf({}, { a: { b: [1], c: {} } }), { "f:a": { ".": {}, "f:b": {}, "f:c": {} } });
  });

  test("of elements that are told apart by nothing are those elements as one", () => {
    const twice = { ports: [{ port: 1, name: "a" }, { port: 1, name: "b" }, { port: 2 }] };
    assert.deepEqual(fieldsOf(schema, twice), {
      "f:ports": { 'k:{"port":1,"protocol":"TCP"}': {}, 'k:{"port":2,"protocol":"TCP"}': { ".": {}, "f:port": {} } },
    });
    assert.deepEqual(fieldsOf(schema, { ports: [{ name: "a" }] }), { "f:ports": {} });
    assert.deepEqual(fieldsOf(schema, { tags: [{ a: 1 }] }), { "f:tags": {} });
  });
});

describe("what changes", () => {
  test("is nothing between equal values, whatever the order of keys and elements", () => {
    const before = { labels: { a: "1", b: "2" }, tags: ["x", "y"], ports: [{ port: 1 }, { port: 2 }] };
    const after = { tags: ["y", "x"], ports: [{ port: 2 }, { port: 1 }], labels: { b: "2", a: "1" } };
    assert.equal(isWithoutChanges(changesOf(schema, before, after)), true);
  });

  test("is told as added with all that holds it, modified and removed", () => {
    const before = { size: "a", inner: { one: "1", two: "2" }, tags: ["x"], whole: ["a"], ports: [{ port: 1 }] };
    const after = { size: "b", inner: { two: "2" }, tags: ["y"], whole: ["a", "b"], labels: { a: "1" }, ports: [] };
    assert.deepEqual(changesOf(schema, before, after), {
      added: { "f:labels": { ".": {}, "f:a": {} }, "f:tags": { 'v:"y"': {} } },
      modified: { "f:size": {}, "f:whole": {} },
      removed: {
        "f:inner": { "f:one": {} },
        "f:ports": { 'k:{"port":1,"protocol":"TCP"}': { ".": {}, "f:port": {} } },
        "f:tags": { 'v:"x"': {} },
      },
    });
  });

  test("is told of fields that are named like what objects inherit", () => {
    const named = { labels: { constructor: "1", toString: "2" } };
    assert.deepEqual(changesOf(schema, { labels: {} }, named).added, {
      "f:labels": { "f:constructor": {}, "f:toString": {} },
    });
  });

  test("of a value that takes another form is the value, and what was and is inside", () => {
    const { added, modified, removed } = changesOf(schema, { inner: { one: "1" } }, { inner: "text" });
    assert.deepEqual([added, modified, removed], [NO_FIELDS, { "f:inner": {} }, { "f:inner": { "f:one": {} } }]);
  });
});

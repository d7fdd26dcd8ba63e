import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isApiError } from "../model/api/status.ts";
import { applyJsonPatch, applyMergePatch } from "./json-patch.ts";

describe("a JSON patch (RFC 6902)", () => {
  // The examples of the RFC's appendix A.
  const cases: readonly [string, unknown, unknown, unknown][] = [
    ["A.1 adds a member", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    [
      "A.2 adds an element",
      { foo: ["bar", "baz"] },
      [{ op: "add", path: "/foo/1", value: "qux" }],
      { foo: ["bar", "qux", "baz"] },
    ],
    ["A.3 removes a member", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    [
      "A.4 removes an element",
      { foo: ["bar", "qux", "baz"] },
      [{ op: "remove", path: "/foo/1" }],
      { foo: ["bar", "baz"] },
    ],
    [
      "A.5 replaces a value",
      { baz: "qux", foo: "bar" },
      [{ op: "replace", path: "/baz", value: "boo" }],
      { baz: "boo", foo: "bar" },
    ],
    [
      "A.6 moves a value",
      { foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } },
      [{ op: "move", from: "/foo/waldo", path: "/qux/thud" }],
      { foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } },
    ],
    [
      "A.7 moves an element",
      { foo: ["all", "grass", "cows", "eat"] },
      [{ op: "move", from: "/foo/1", path: "/foo/3" }],
      { foo: ["all", "cows", "eat", "grass"] },
    ],
    [
      "A.8 tests a value",
      { baz: "qux", foo: ["a", 2, "c"] },
      [
        { op: "test", path: "/baz", value: "qux" },
        { op: "test", path: "/foo/1", value: 2 },
      ],
      { baz: "qux", foo: ["a", 2, "c"] },
    ],
    [
      "A.10 adds a nested object",
      { foo: "bar" },
      [{ op: "add", path: "/child", value: { grandchild: {} } }],
      { foo: "bar", child: { grandchild: {} } },
    ],
    ["A.14 unescapes ~0 and ~1", { "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
    [
      "A.16 appends",
      { foo: ["bar"] },
      [{ op: "add", path: "/foo/-", value: ["abc", "def"] }],
      { foo: ["bar", ["abc", "def"]] },
    ],
    ["copies", { a: { b: 1 } }, [{ op: "copy", from: "/a", path: "/c" }], { a: { b: 1 }, c: { b: 1 } }],
  ];
  for (const [name, document, patch, wanted] of cases) {
    test(name, () => assert.deepEqual(applyJsonPatch(document, patch), wanted));
  }

  const refusals: readonly [string, unknown, number][] = [
    ["A.9 a test that fails", [{ op: "test", path: "/baz", value: "bar" }], 422],
    ["A.12 a target that is not there", [{ op: "add", path: "/baz/bat", value: "qux" }], 422],
    ["an index behind the end", [{ op: "add", path: "/list/4", value: 1 }], 422],
    ["an index with a leading zero", [{ op: "remove", path: "/list/01" }], 422],
    ["`-` where nothing is added", [{ op: "remove", path: "/list/-" }], 422],
    ["`-` on the way", [{ op: "add", path: "/list/-/a", value: 1 }], 422],
    ["an unknown operation", [{ op: "twist", path: "/foo" }], 400],
    ["a missing value", [{ op: "add", path: "/foo" }], 400],
    ["a path without its slash", [{ op: "add", path: "foo", value: 1 }], 400],
    ["a prototype", [{ op: "add", path: "/__proto__/polluted", value: 1 }], 400],
    ["no list", { op: "add" }, 400],
  ];
  for (const [name, patch, code] of refusals) {
    test(`refuses ${name}`, () => {
      assert.throws(
        () => applyJsonPatch({ foo: "bar", list: [1, 2, 3] }, patch),
        (thrown) => isApiError(thrown) && thrown.httpStatus === code,
      );
    });
  }
});

test("a JSON patch that copies its copies is refused before it is larger than memory", () => {
  const patch = Array.from({ length: 40 }, (_, index) => ({ op: "copy", from: "", path: `/copy${index}` }));
  assert.throws(
    () => applyJsonPatch({ text: "some words" }, patch),
    (thrown) => isApiError(thrown, "RequestEntityTooLarge"),
  );
  assert.deepEqual(applyJsonPatch({ a: 1 }, patch.slice(0, 2)), {
    a: 1,
    copy0: { a: 1 },
    copy1: { a: 1, copy0: { a: 1 } },
  });
});

describe("a merge patch (RFC 7386)", () => {
  // The table of the RFC's appendix A.
  const cases: readonly [unknown, unknown, unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, wanted] of cases) {
    test(`${JSON.stringify(target)} and ${JSON.stringify(patch)}`, () => {
      assert.deepEqual(applyMergePatch(target, patch), wanted);
    });
  }
});

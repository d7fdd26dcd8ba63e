import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { asSet, keyed, list, map, object, text, whole } from "../model/api/schema.ts";
import { dropFields, listProblems, mergeConfig } from "./apply-merge.ts";
import { fieldsOf } from "./field-changes.ts";
import { NO_FIELDS } from "./field-set.ts";

const item = object("", {}, { name: text(""), image: text(""), port: whole("") });
const schema = object(
  "",
  {},
  {
    items: keyed(list("", item), "name"),
    tags: asSet(list("", text(""))),
    labels: map("", text("")),
    inner: object("", {}, { one: text(""), two: text("") }),
    whole: list("", text("")),
  },
);

const names: fc.Arbitrary<string[]> = fc.uniqueArray(fc.constantFrom("a", "b", "c", "d", "e", "f"), { maxLength: 6 });

describe("merging a configuration", () => {
  test("sets its fields and leaves others", () => {
    const live = {
      items: [
        { name: "a", image: "1" },
        { name: "b", port: 1 },
      ],
      tags: ["x"],
      labels: { one: "1" },
      whole: ["a", "b"],
    };
    const config = { items: [{ name: "b", image: "2" }], tags: ["y"], labels: { two: "2" }, whole: ["c"] };
    assert.deepEqual(mergeConfig(schema, live, config), {
      items: [
        { name: "a", image: "1" },
        { name: "b", port: 1, image: "2" },
      ],
      tags: ["x", "y"],
      labels: { one: "1", two: "2" },
      whole: ["c"],
    });
  });

  test("has every element once, those that are wanted and the others each in their order", () => {
    fc.assert(
      fc.property(names, names, (live, wanted) => {
        const merged = mergeConfig(schema, { tags: live }, { tags: wanted }) as { tags: string[] };
        const others = live.filter((each) => !wanted.includes(each));
        assert.deepEqual(
          merged.tags.filter((each) => wanted.includes(each)),
          wanted,
        );
        assert.deepEqual(
          merged.tags.filter((each) => !wanted.includes(each)),
          others,
        );
      }),
    );
  });

  test("keeps the others where they stood", () => {
    const merged = (live: string, wanted: string) =>
      (mergeConfig(schema, { tags: [...live] }, { tags: [...wanted] }) as { tags: string[] }).tags.join("");
    assert.equal(merged("abc", "axc"), "abxc");
    assert.equal(merged("abcd", "dx"), "abcdx");
    assert.equal(merged("ab", "cb"), "acb");
    assert.equal(merged("abc", "ca"), "bca");
  });

  test("puts in one element for several that were alike", () => {
    const live = {
      items: [
        { name: "a", port: 1 },
        { name: "a", port: 2 },
      ],
    };
    assert.deepEqual(mergeConfig(schema, live, { items: [{ name: "a", port: 3 }] }), {
      items: [{ name: "a", port: 3 }],
    });
    assert.deepEqual(mergeConfig(schema, live, { items: [{ name: "b" }] }), { items: [...live.items, { name: "b" }] });
  });
});

describe("dropping fields", () => {
  test("takes what was applied and is in nobody's set, and no more", () => {
    const object = {
      items: [{ name: "a", image: "1", port: 9 }, { name: "b" }],
      tags: ["x", "y"],
      labels: { one: "1", two: "2" },
    };
    const dropped = fieldsOf(schema, { items: [{ name: "a", image: "1" }], tags: ["x"], labels: { one: "1" } });
    assert.deepEqual(dropFields(schema, object, dropped, NO_FIELDS), {
      items: [{ name: "b" }],
      tags: ["y"],
      labels: { two: "2" },
    });
    assert.deepEqual(dropFields(schema, object, dropped, dropped), object);
  });

  test("leaves an element its keys as long as somebody has a field of it", () => {
    const object = { items: [{ name: "a", image: "1", port: 9 }] };
    const dropped = fieldsOf(schema, { items: [{ name: "a", image: "1" }] });
    const kept = { "f:items": { 'k:{"name":"a"}': { "f:port": {} } } };
    assert.deepEqual(dropFields(schema, object, dropped, kept), { items: [{ name: "a", port: 9 }] });
  });

  test("takes objects and lists that become empty by it, and no others", () => {
    const object = { items: [{ name: "a" }], inner: { one: "1" }, labels: {}, whole: [] };
    const dropped = fieldsOf(schema, { items: [{ name: "a" }], inner: { one: "1" } });
    assert.deepEqual(dropFields(schema, object, dropped, NO_FIELDS), { labels: {}, whole: [] });
    const kept = { "f:inner": {}, "f:items": {} };
    assert.deepEqual(dropFields(schema, object, dropped, kept), { items: [], inner: {}, labels: {}, whole: [] });
  });
});

test("lists whose elements cannot be told apart are named", () => {
  const wrong = { items: [{ name: "a" }, { name: "a" }], tags: ["x"], inner: {} };
  assert.deepEqual(listProblems(schema, wrong), [
    { reason: "FieldValueDuplicate", field: "items", message: 'Duplicate value: {"name":"a"}' },
  ]);
  const [lacks] = listProblems(schema, { items: [{ image: "a" }] });
  assert.match(lacks?.message ?? "", /^Required value: .* an element lacks "name"/);
});

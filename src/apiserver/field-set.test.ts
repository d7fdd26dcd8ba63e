import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  difference,
  type FieldSet,
  intersection,
  isEmptySet,
  isMember,
  MEMBER,
  makeSet,
  NO_FIELDS,
  nodeOf,
  pathsOf,
  readFieldSet,
  stepInto,
  union,
} from "./field-set.ts";

const step = fc.constantFrom(
  "f:a",
  "f:b",
  "f:__proto__",
  'k:{"name":"x"}',
  'k:{"port":80,"protocol":"TCP"}',
  'v:"t"',
  "i:0",
);
const path = fc.array(step, { minLength: 1, maxLength: 4 });
const paths = fc.array(path, { maxLength: 12 });

/** The set of these fields, made one by one. */
function setOf(fields: readonly (readonly string[])[]): FieldSet {
  return fields.reduce((set, [first = "", ...rest]) => {
    const there = stepInto(set, first);
    const member = rest.length === 0 || (there !== undefined && isMember(there));
    const below = rest.length === 0 ? (there ?? NO_FIELDS) : union(there ?? NO_FIELDS, setOf([rest]));
    return makeSet([...Object.entries(set).filter(([key]) => key !== first), [first, nodeOf(member, below)]]);
  }, NO_FIELDS);
}

const textsOf = (fields: readonly (readonly string[])[]) =>
  new Set(fields.map((each) => pathsOf(setOf([each]))[0] ?? ""));
const sorted = (texts: Iterable<string>) => [...texts].toSorted();

describe("sets of fields", () => {
  test("are sets", () => {
    fc.assert(
      fc.property(paths, paths, (left, right) => {
        const [one, other] = [setOf(left), setOf(right)];
        const [inOne, inOther] = [textsOf(left), textsOf(right)];
        assert.deepEqual(sorted(pathsOf(one)), sorted(inOne));
        assert.deepEqual(sorted(pathsOf(union(one, other))), sorted(new Set([...inOne, ...inOther])));
        assert.deepEqual(
          sorted(pathsOf(difference(one, other))),
          sorted([...inOne].filter((each) => !inOther.has(each))),
        );
        assert.deepEqual(
          sorted(pathsOf(intersection(one, other))),
          sorted([...inOne].filter((each) => inOther.has(each))),
        );
      }),
    );
  });

  test("have one form each, which is that of FieldsV1 and is read back", () => {
    fc.assert(
      fc.property(paths, (fields) => {
        const set = setOf(fields);
        const text = JSON.stringify(set);
        assert.equal(JSON.stringify(setOf(fields.toReversed())), text);
        assert.equal(JSON.stringify(readFieldSet(JSON.parse(text))), text);
        assert.equal(JSON.stringify(union(set, set)), text);
        assert.equal(isEmptySet(difference(set, set)), true);
      }),
    );
  });

  test("are read in whatever order and spelling they come", () => {
    const given = { "f:b": {}, "f:a": { 'k:{"protocol":"TCP", "port":80}': { "f:x": {}, ".": {} }, "v:1": {} } };
    assert.equal(
      JSON.stringify(readFieldSet(given)),
      '{"f:a":{"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:x":{}},"v:1":{}},"f:b":{}}',
    );
  });

  test("are refused where they are none", () => {
    for (const wrong of [
      null,
      [],
      "f:a",
      { a: {} },
      { "f:a": 1 },
      { "k:[1]": {} },
      { "k:{": {} },
      { "i:x": {} },
      { ".": { "f:a": {} } },
    ]) {
      assert.equal(readFieldSet(wrong), undefined, JSON.stringify(wrong));
    }
  });

  test("tell their fields as Kubernetes does", () => {
    const set = makeSet([
      ["f:spec", { 'k:{"name":"web"}': { ".": MEMBER, "f:image": MEMBER }, 'v:"a"': MEMBER, "i:3": MEMBER }],
    ]);
    assert.deepEqual(pathsOf(set), ['.spec[name="web"]', '.spec[name="web"].image', '.spec[="a"]', ".spec[3]"]);
  });
});

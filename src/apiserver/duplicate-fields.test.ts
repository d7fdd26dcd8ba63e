import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { duplicateFields } from "./duplicate-fields.ts";
import { surveyJson } from "./json.ts";

function duplicatesIn(text: string): readonly string[] {
  return duplicateFields(text, surveyJson(JSON.parse(text), 100).fields);
}

test("fields that are named more than once are told by their places", () => {
  assert.deepEqual(duplicatesIn('{"data":{"a":"1","b":"2","a":"3","a":"4"}}'), ["data.a"]);
  assert.deepEqual(duplicatesIn('{ "spec" : { "ports" : [ {"name":"x"}, {"name" :"x", "name"\n: "y"} ] } }'), [
    "spec.ports[1].name",
  ]);
  assert.deepEqual(duplicatesIn('{"metadata":{"labels":{"a.io/b":"","a.io/b":""}}}'), ["metadata.labels[a.io/b]"]);
  assert.deepEqual(duplicatesIn('{"a":{"b":1},"a":{"b":1}}'), ["a"]);
});

test("names are compared as they are read, and texts are no names", () => {
  assert.deepEqual(duplicatesIn('{"a":1,"\\u0061":2}'), ["a"]);
  assert.deepEqual(duplicatesIn('{"a\\\\":"\\"a\\\\\\":","a\\"":":","b":["a","a",":"]}'), []);
});

test("what JSON.stringify writes has none, and what is named twice in it is found", () => {
  const key = fc.oneof(fc.string(), fc.constantFrom('"', "\\", '\\"', ":", "a"));
  fc.assert(
    fc.property(fc.jsonValue(), fc.dictionary(key, fc.jsonValue(), { minKeys: 1 }), (value, fields) => {
      const text = JSON.stringify(value, null, 1);
      assert.deepEqual(duplicatesIn(text), []);
      const names = Object.keys(fields);
      const inner = JSON.stringify(fields).slice(1, -1);
      assert.equal(duplicatesIn(`{"x":[${text},{${inner},${inner}}]}`).length, Math.min(names.length, 100));
    }),
  );
});

test("no more are told than help, and none at a place too deep to be kept", () => {
  const many = Array.from({ length: 200 }, (_, index) => `"k${index}":1`).join();
  assert.equal(duplicatesIn(`{${many},${many}}`).length, 100);
  const deep = `${"[".repeat(500)}{"a":1,"a":2}${"]".repeat(500)}`;
  assert.deepEqual(duplicatesIn(`{"x":${deep},"x":1}`), ["x"]);
  const [long] = duplicatesIn(`{"${"n".repeat(100_000)}":{"a":1,"a":1}}`);
  assert.ok(long !== undefined && long.length < 1_000);
});

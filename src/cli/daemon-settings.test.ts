import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isNodeName, nodeNameOf } from "./daemon-settings.ts";

test("a node has a name that Kubernetes takes, whatever the machine is called", () => {
  for (const name of ["vm", "a.b-c.d", "1", "a".repeat(63)])
    assert.ok(isNodeName(name) && nodeNameOf(name) === name, name);
  for (const name of ["", "Bad Name", "a_b", "-a", "a.", "a".repeat(64)]) assert.ok(!isNodeName(name), name);
  assert.deepEqual(["My_Host", "a..b", "-", "", "ä", `${"a".repeat(62)}.b`].map(nodeNameOf), [
    "my-host",
    "a.b",
    "node",
    "node",
    "node",
    "a".repeat(62),
  ]);
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 80 }), (name) => isNodeName(nodeNameOf(name))));
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."aB1-._ "), maxLength: 80 }), (name) =>
      isNodeName(nodeNameOf(name)),
    ),
  );
});

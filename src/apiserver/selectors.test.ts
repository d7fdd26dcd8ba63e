import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isApiError } from "../model/api/status.ts";
import { readSelection } from "./selectors.ts";

const object = {
  metadata: { name: "vm1", namespace: "default", labels: { app: "web", tier: "front", size: "3", "a.io/b": "" } },
  spec: { nodeName: "node1", count: 2 },
};

describe("a label selector", () => {
  const cases: readonly [string, boolean][] = [
    ["", true],
    ["app=web", true],
    ["app==web,tier=front", true],
    ["app=db", false],
    ["app!=db", true],
    ["missing!=x", true],
    ["app in (db, web)", true],
    ["app notin (web)", false],
    ["missing notin (web)", true],
    ["app", true],
    ["!app", false],
    ["!missing", true],
    ["a.io/b", true],
    ["a.io/b=", true],
    ["size>2", true],
    ["size<3", false],
    ["app in (web),tier in (front,back),!x", true],
  ];
  for (const [selector, wanted] of cases) {
    test(`"${selector}" ${wanted ? "matches" : "does not match"}`, () => {
      assert.equal(readSelection(selector, undefined, {}).matches?.(object) ?? true, wanted);
    });
  }

  for (const wrong of ["app in web", "-a=b", "a=b=c", "a=b c", "size>x", "app in (a"]) {
    test(`"${wrong}" is refused`, () => {
      assert.throws(
        () => readSelection(wrong, undefined, {}),
        (thrown) => isApiError(thrown, "BadRequest"),
      );
    });
  }
});

describe("a field selector", () => {
  const cases: readonly [string, boolean][] = [
    ["metadata.name=vm1", true],
    ["metadata.name!=vm1", false],
    ["spec.nodeName==node1,metadata.namespace=default", true],
    ["spec.nodeName=", false],
    ["status.phase=", true],
    ["status.phase!=Running", true],
    ["spec.count=2", true],
    ["spec.nodeName=a\\,b", false],
  ];
  for (const [selector, wanted] of cases) {
    test(`"${selector}" ${wanted ? "matches" : "does not match"}`, () => {
      assert.equal(readSelection(undefined, selector, {}).matches?.(object), wanted);
    });
  }

  test("says which one name it asks for", () => {
    assert.equal(readSelection(undefined, "metadata.name=vm1", {}).name, "vm1");
    assert.equal(readSelection(undefined, "metadata.name!=vm1", {}).name, undefined);
  });

  test("without a comparison is refused", () => {
    assert.throws(
      () => readSelection(undefined, "spec.nodeName", {}),
      (thrown) => isApiError(thrown, "BadRequest"),
    );
  });

  const schema = {
    type: "object",
    properties: {
      metadata: { type: "object" },
      spec: {
        type: "object",
        properties: { nodeName: { type: "string" }, held: { type: "boolean" }, list: { type: "array" } },
      },
      data: { type: "object", additionalProperties: { type: "string" } },
      any: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
  };

  test("of a field that no object has is refused, and so is one of no single value", () => {
    for (const wrong of ["spec.nodename=x", "spec.list=x", "spec=x", "metadata.labels=x", "foo.bar!=x"]) {
      assert.throws(
        () => readSelection(undefined, wrong, { schema }),
        (thrown) => isApiError(thrown, "BadRequest") && thrown.message.includes("field label not supported"),
      );
    }
    for (const right of ["spec.nodeName=x", "data.x=", "any.where=1", "metadata.name=a,metadata.namespace!=b"]) {
      assert.ok(readSelection(undefined, right, { schema }).matches !== undefined);
    }
  });

  test("counts a flag that is absent as false", () => {
    assert.equal(readSelection(undefined, "spec.held=false", { schema }).matches?.(object), true);
    assert.equal(readSelection(undefined, "spec.held=", { schema }).matches?.(object), false);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../model/fault.ts";
import { vmiReference } from "./api-access.ts";

test("a VMI is named alone, with its namespace, and as kubectl prints it; anything else is refused", () => {
  assert.deepEqual(vmiReference("a", "default"), { namespace: "default", name: "a" });
  assert.deepEqual(vmiReference("b/a", "default"), { namespace: "b", name: "a" });
  assert.deepEqual(vmiReference("vmi/a", "default"), { namespace: "default", name: "a" });
  assert.deepEqual(vmiReference("virtualmachineinstances/b/a", "default"), { namespace: "b", name: "a" });
  for (const wrong of ["", "/", "a/", "/a", "c/b/a", "vmi/"]) {
    assert.throws(
      () => vmiReference(wrong, "default"),
      (thrown) => isFault(thrown, "PB6115") && thrown.message.includes(`"${wrong}"`),
    );
  }
});

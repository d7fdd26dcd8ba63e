import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "./status.ts";

const cause = (field: string, message = "Invalid value") => ({ reason: "FieldValueInvalid", field, message });

test("a failure says what it was told, as far as that helps anybody", () => {
  const causes = [cause("spec.a"), cause("spec.b")];
  assert.deepEqual(failure(422, "Invalid", "m", { name: "x", causes }).details, { name: "x", causes });

  const many = Array.from({ length: 150_000 }, (_, index) => cause(`data.k${index}`));
  const told = failure(422, "Invalid", "m".repeat(5_000_000), { name: "n".repeat(100_000), causes: many });
  assert.equal(told.details?.causes?.length, 101);
  assert.deepEqual(told.details?.causes?.at(-1)?.message, "149900 more causes are not listed here");
  assert.match(told.message ?? "", /^m{16384}… \(4983616 more characters\)$/);

  const long = [cause("f".repeat(100_000), "v".repeat(3_000_000))];
  assert.ok(JSON.stringify(failure(422, "Invalid", "", { causes: long })).length < 3_000);
});

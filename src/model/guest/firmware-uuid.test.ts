import assert from "node:assert/strict";
import { test } from "node:test";
import { firmwareUuid, guestUuid } from "./firmware-uuid.ts";

test("a guest has its manifest's UUID, and where that is none or empty the one of its name", () => {
  const uuid = (firmware?: { readonly uuid?: string }): string =>
    guestUuid({ metadata: { name: "testvmi" }, spec: { domain: firmware === undefined ? {} : { firmware } } });
  const own = "5d307ca9-b3ef-428c-8861-06e72d69f223";
  assert.equal(uuid({ uuid: own }), own);
  for (const firmware of [undefined, {}, { uuid: "" }]) assert.equal(uuid(firmware), firmwareUuid("testvmi"));
  assert.equal(firmwareUuid("testvmi"), "f8918e71-270a-598e-a2a4-1afac39e1394");
});

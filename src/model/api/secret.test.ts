import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { KubeObject } from "./resource.ts";
import { decodeSecret } from "./secret.ts";

const secret = (fields: object): KubeObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "s" },
  ...fields,
});

test("a Secret's stringData is kept in data, over what is there", () => {
  const given = secret({ type: "example.io/two", data: { a: "MQ==", b: "Mg==" }, stringData: { b: "x" } });
  assert.deepEqual(decodeSecret(given), secret({ type: "example.io/two", data: { a: "MQ==", b: "eA==" } }));
});

test("a Secret without a type is Opaque, and one without data stays so", () => {
  assert.deepEqual(decodeSecret(secret({})), secret({ type: "Opaque" }));
  assert.deepEqual(decodeSecret(secret({ type: "", stringData: {} })), secret({ type: "Opaque" }));
});

test("any text is encoded as its UTF-8", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 100 }), fc.integer({ min: 1, max: 300 }), (part, times) => {
      const text = part.repeat(times);
      const { data } = decodeSecret(secret({ stringData: { key: text } }));
      assert.deepEqual(data, { key: Buffer.from(text, "utf8").toString("base64") });
    }),
  );
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isApiError } from "../model/api/status.ts";
import { readFields, writeMessage } from "./protobuf.ts";
import { readProtobufObject } from "./protobuf-objects.ts";

const magic = Buffer.from("k8s\0", "latin1");
const envelope = (apiVersion: string, kind: string, raw: Uint8Array) =>
  Buffer.concat([
    magic,
    writeMessage([
      [
        1,
        writeMessage([
          [1, apiVersion],
          [2, kind],
        ]),
      ],
      [2, raw],
    ]),
  ]);
const entry = (key: string, value: string) =>
  writeMessage([
    [1, key],
    [2, value],
  ]);

describe("protobuf", () => {
  test("reads what it wrote", () => {
    const fields = fc.array(fc.tuple(fc.integer({ min: 1, max: 5_000 }), fc.uint8Array({ maxLength: 300 })));
    fc.assert(
      fc.property(fields, (written) => {
        const read = readFields(writeMessage(written));
        assert.deepEqual(
          read.map(({ number, value }) => [number, value instanceof Uint8Array ? Uint8Array.from(value) : value]),
          written,
        );
      }),
    );
  });

  test("answers any bytes with an object or a refusal", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("Namespace", "Secret", "Pod"), (bytes, kind) => {
        for (const body of [bytes, Buffer.concat([magic, bytes]), envelope("v1", kind, bytes)]) {
          try {
            assert.equal(typeof readProtobufObject(body), "object");
          } catch (thrown) {
            assert.ok(isApiError(thrown), String(thrown));
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("is read as the JSON that it stands for", () => {
    const metadata = writeMessage([
      [1, "one"],
      [2, ""],
      [8, writeMessage([])],
      [11, entry("app", "web")],
      [11, entry("tier", "front")],
    ]);
    const raw = writeMessage([
      [1, metadata],
      [2, entry("user", "root")],
      [3, "Opaque"],
    ]);
    assert.deepEqual(readProtobufObject(envelope("v1", "Secret", raw)), {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "one", labels: { app: "web", tier: "front" } },
      data: { user: "cm9vdA==" },
      type: "Opaque",
    });
  });

  test("of a kind that is taken as JSON only is refused with 415", () => {
    assert.throws(
      () => readProtobufObject(envelope("v1", "Pod", new Uint8Array())),
      (thrown) => isApiError(thrown, "UnsupportedMediaType"),
    );
  });
});

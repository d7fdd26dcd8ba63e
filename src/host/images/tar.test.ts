import assert from "node:assert/strict";
import { test } from "node:test";
import { readTar, TarError, tarFrame } from "./tar.ts";

test("a size that octal digits cannot write is written and read all the same", async () => {
  for (const size of [8 ** 11 - 1, 8 ** 11, 2 ** 40 + 7]) {
    const { header, padding } = tarFrame({ kind: "file", path: "disk/a", mode: 0o444, size });
    assert.equal((size + padding.length) % 512, 0);
    const read: unknown[] = [];
    const source = (async function* () {
      yield header;
    })();
    await assert.rejects(
      readTar(source, ({ path, size: found }) => {
        read.push(path, found);
        return undefined;
      }),
      // The file itself is not there.
      TarError,
    );
    assert.deepEqual(read, ["disk/a", size]);
  }
});

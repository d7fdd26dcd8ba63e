import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openImageStore } from "../host/images/store.ts";
import { humanSize } from "./image.ts";

const MAIN = join(import.meta.dirname, "main.ts");

test("every image command reports in JSON where asked to, and a name that is missing is exit code 1 with a near one", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-image-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const images = join(folder, "images");
  writeFileSync(join(folder, "f"), Buffer.alloc(3000));
  const made = await (await openImageStore(images)).create("lab/one:1", [{ path: "/f", source: join(folder, "f") }]);
  const patchbay = (...args: readonly string[]) =>
    spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", MAIN, "image", ...args, "--image-dir", images],
      { encoding: "utf8", timeout: 60_000 },
    );
  const json = (...args: readonly string[]): unknown => {
    const { status, stdout, stderr } = patchbay(...args, "-o", "json");
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  };
  assert.match(patchbay("ls").stdout, /^IMAGE +DIGEST +SIZE\nlab\/one:1 +[0-9a-f]{12} +\d\.\d KiB\n$/);
  assert.deepEqual(json("ls"), [made]);
  assert.deepEqual(json("import", "lab/one:1", images), made);
  assert.deepEqual(json("tag", "lab/one:1", "lab/two"), { ...made, name: "lab/two:latest" });
  assert.deepEqual(json("rm", "lab/two"), { ...made, name: "lab/two:latest" });
  const wrong = patchbay("rm", "lab/oen:1");
  assert.deepEqual([wrong.status, wrong.stdout], [1, ""]);
  assert.match(wrong.stderr, /PB5001.*lab\/oen:1[\s\S]*Did you mean lab\/one:1\?/);
});

test("sizes are written for people", () => {
  assert.deepEqual([0, 812, 1024, 59_873_689, 2 ** 31].map(humanSize), [
    "0 B",
    "812 B",
    "1.0 KiB",
    "57.1 MiB",
    "2.0 GiB",
  ]);
});

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type FileResult, type Limits, runFile } from "./file-run.ts";
import { unexpectedSkips } from "./skips.ts";

const root = join(import.meta.dirname, "..");

/** For files that do not end: long enough for Node to come to their tests on a busy machine. */
const SHORT: Limits = { test: 3_000, file: 8_000 };
/** For files that do, on a busy machine too. */
const LONG: Limits = { test: 60_000, file: 60_000 };

/** Runs a test file of this text. */
async function resultOf(t: TestContext, text: string, limits = LONG): Promise<FileResult> {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-file-run-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "sample.test.ts");
  writeFileSync(file, `import { test, suite } from "node:test";\n${text}`);
  return runFile(file, root, folder, limits);
}

function onlyFailure(result: FileResult): { readonly name: string; readonly text: string } {
  const [first, ...others] = result.failures;
  assert.ok(first !== undefined, "nothing failed");
  assert.deepEqual(others, []);
  return first;
}

test("tests that pass, fail and skip are counted with their full names", async (t) => {
  const result = await resultOf(
    t,
    `suite("outer", () => {
       test("good", () => {});
       test("bad", () => { throw new Error("this is why"); });
       test("skipped", (t) => t.skip("needs root: no"));
     });`,
  );
  assert.equal(result.passed, 1);
  assert.deepEqual([result.names, result.skippedNames], [["good"], ["skipped"]]);
  const failure = onlyFailure(result);
  assert.match(failure.name, /sample\.test\.ts > outer > bad$/);
  assert.match(failure.text, /this is why/);
  assert.deepEqual(
    result.skipped.map(({ name, reason }) => [name.replace(/^.* > outer/, "outer"), reason]),
    [["outer > skipped", "needs root: no"]],
  );
});

test("a subtest's failure is told once, by its own name", async (t) => {
  const result = await resultOf(
    t,
    `test("outer", async (t) => { await t.test("inner", () => { throw new Error("x"); }); });`,
  );
  assert.match(onlyFailure(result).name, /outer > inner$/);
});

// Each takes its whole time.
describe("limits", { concurrency: 3 }, () => {
  test("a test that awaits for ever fails by its name", async (t) => {
    const result = await resultOf(
      t,
      `test("waits", () => new Promise((done) => setTimeout(done, 1e8).unref()));
       setInterval(() => {}, 1e8).unref();
       test("holds the process", () => new Promise((done) => setTimeout(done, 2000)));`,
      SHORT,
    );
    assert.match(result.failures.map(({ name, text }) => `${name}: ${text}`).join("\n"), /waits: .*timed out/);
  });

  test("a file that computes without end is stopped and named", async (t) => {
    const failure = onlyFailure(await resultOf(t, `test("computes", () => { for (;;); });`, SHORT));
    assert.match(failure.text, /did not end within 8 s/);
  });

  test("a handle left open is told apart from a test that hangs", async (t) => {
    const failure = onlyFailure(await resultOf(t, `test("opens", () => { setInterval(() => {}, 1000); });`, SHORT));
    assert.match(failure.text, /keeps the process alive/);
  });
});

test("a file that ends its own process, throws late or holds no test fails", async (t) => {
  assert.match(onlyFailure(await resultOf(t, "process.exit(3);")).text, /status 3/);
  assert.match(onlyFailure(await resultOf(t, "")).text, /holds no test/);
  const late = `test("late", () => { setTimeout(() => { throw new Error("afterwards"); }, 10); });
    test("next", (t, done) => setTimeout(done, 50));`;
  assert.match(onlyFailure(await resultOf(t, late)).text, /afterwards/);
});

test("what a failing file printed is shown, bounded", async (t) => {
  const failure = onlyFailure(
    await resultOf(
      t,
      `test("prints", () => { console.log("x".repeat(100_000) + "the end"); throw new Error("why"); });`,
    ),
  );
  assert.match(failure.text, /the end/);
  assert.ok(failure.text.length < 20_000);
});

test("skips must come from a probe, and on Debian 12 as root be those that are listed", () => {
  const skipped = [
    { name: "a", reason: "needs qemu: not found" },
    { name: "b", reason: "needs root: no" },
  ];
  assert.deepEqual(unexpectedSkips(skipped, [], false), []);
  assert.deepEqual(unexpectedSkips([{ name: "c", reason: "later" }], [], false), [
    "c was skipped without a probe of test/needs.ts",
  ]);
  assert.deepEqual(unexpectedSkips(skipped, ["a", "z"], true), [
    "b was skipped and is not in test/skips.txt",
    "z is in test/skips.txt and was not skipped",
  ]);
});

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codes } from "../src/model/codes/codes.ts";

const folder = join(import.meta.dirname, "../docs/findings");

test("every code has its page, and every page its code", () => {
  const pages = new Set(readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "README.md"));
  const wanted = new Set(Object.keys(codes).map((code) => `${code}.md`));
  assert.deepEqual([...wanted].filter((page) => !pages.has(page)).sort(), [], "codes without a page in docs/findings");
  assert.deepEqual(
    [...pages].filter((page) => !wanted.has(page)).sort(),
    [],
    "pages without a code in src/model/codes",
  );
});

test("a page's first line is its code and title", () => {
  for (const [code, title] of Object.entries(codes)) {
    if (!existsSync(join(folder, `${code}.md`))) continue; // The test above tells it.
    const firstLine = readFileSync(join(folder, `${code}.md`), "utf8").split("\n")[0];
    assert.equal(firstLine, `# ${code}: ${title}`);
  }
});

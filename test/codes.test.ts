import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { codes } from "../src/model/codes/codes.ts";

const folder = join(import.meta.dirname, "../docs/findings");

test("every code has its page, and every page its code", () => {
  const pages = readdirSync(folder).filter((name) => name.endsWith(".md") && name !== "README.md");
  assert.deepEqual(
    pages.sort(),
    Object.keys(codes)
      .map((code) => `${code}.md`)
      .sort(),
  );
});

test("a page's first line is its code and title", () => {
  for (const [code, title] of Object.entries(codes)) {
    const firstLine = readFileSync(join(folder, `${code}.md`), "utf8").split("\n")[0];
    assert.equal(firstLine, `# ${code}: ${title}`);
  }
});

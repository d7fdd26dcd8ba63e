import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { breaches, floatingNodePromises, ignoredNeeds, importCircles, impurities } from "./layers.ts";
import { blank, importsOf } from "./source-text.ts";

/** A tree of sources that holds these files. */
function tree(t: TestContext, files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "patchbay-layers-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

function told(t: TestContext, files: Readonly<Record<string, string>>): readonly string[] {
  return breaches(tree(t, files)).map(({ file, line, message }) => `${file}:${line}: ${message}`);
}

test("imports that run downward are in order", (t) => {
  assert.deepEqual(
    told(t, {
      "src/cli/up.ts": `import { a } from "../node/agent.ts";\nimport type { B } from "../model/wiring/wiring.ts";\n`,
      "src/node/agent.ts": `import { x } from "../client/client.ts";\nexport * from "../host/linux/netns.ts";\n`,
      "src/host/linux/netns.ts": `import { readFileSync } from "node:fs";\nimport { W } from "../../model/wiring/wiring.ts";\n`,
    }),
    [],
  );
});

test("upward and sideways imports are told, also of types, re-exports and dynamic ones", (t) => {
  const lines = told(t, {
    "src/node/a.ts": `\nimport type { X } from "../control/x.ts";\n`,
    "src/control/b.ts": `export { y } from "../apiserver/y.ts";\n`,
    "src/host/linux/c.ts": `const z = await import("../../node/a.ts");\n`,
    "src/model/wiring/d.ts": `import {\n  q,\n} from "../../host/linux/c.ts";\n`,
    "src/client/e.ts": `import "../host/linux/c.ts";\n`,
  });
  assert.deepEqual(
    lines.map((line) => line.replace(/ \(.*/, "")),
    [
      "src/client/e.ts:1: client must not import host",
      "src/control/b.ts:1: control must not import apiserver",
      "src/host/linux/c.ts:1: host must not import node",
      "src/model/wiring/d.ts:3: model must not import host",
      "src/node/a.ts:2: node must not import control",
    ],
  );
});

test("the host knows no VMI, the sources no test, and a computed import is refused", (t) => {
  const lines = told(t, {
    "src/host/guest/a.ts": `import type { Vmi } from "../../model/api/vmi.ts";\n`,
    "src/node/b.ts": `import { needs } from "../../test/needs.ts";\n`,
    "src/node/b.test.ts": `import { needs } from "../../test/needs.ts";\n`,
    "src/cli/c.ts": `await import(name);\n`,
  });
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? "", /c\.ts:1: an import of a computed name/);
  assert.match(lines[1] ?? "", /a\.ts:1: host must not import model\/api/);
  assert.match(lines[2] ?? "", /b\.ts:1: src must not import .* outside src/);
});

test("files that import each other in a circle are told, also by types, with the whole circle", (t) => {
  const root = tree(t, {
    "src/model/a.ts": `import type { Z } from "./z.ts";\nimport { b } from "./b.ts";\n`,
    "src/model/b.ts": `import { c } from "./rules/c.ts";\n`,
    "src/model/b.test.ts": `import { b } from "./b.ts";\nimport { a } from "./a.ts";\n`,
    "src/model/rules/c.ts": `import { z } from "../z.ts";\nimport type { A } from "../a.ts";\n`,
    "src/model/z.ts": "",
    "src/cli/d.ts": `import "../model/a.ts";\nconst run = () => import("./e.ts");\n`,
    "src/cli/e.ts": `export type { D } from "./d.ts";\n`,
  });
  assert.deepEqual(
    importCircles(root).map(({ file, line, message }) => `${file}:${line} ${/\((.*)\)/.exec(message)?.[1]}`),
    [
      "src/cli/d.ts:2 src/cli/d.ts → src/cli/e.ts → src/cli/d.ts",
      "src/model/a.ts:2 src/model/a.ts → src/model/b.ts → src/model/rules/c.ts → src/model/a.ts",
    ],
  );
});

test("the sources have no circle of imports", () => {
  assert.deepEqual(importCircles(join(import.meta.dirname, "..")), []);
});

test("folders go two levels deep, belong to a layer, and names say something", (t) => {
  const lines = told(t, {
    "src/model/a/b/c.ts": "",
    "src/extras/d.ts": "",
    "src/e.ts": "",
    "src/node/utils.ts": "",
    "src/node/common/f.ts": "",
  });
  assert.equal(lines.length, 5);
});

test("the model has no clock and no randomness; values of time that it is given are fine", (t) => {
  const lines = told(t, {
    "src/model/a.ts": `// Date.now() in a comment\nconst s = "Math.random()";\nconst d = new Date(5).toISOString() + Date.UTC(1, 2);\n`,
    "src/model/b.ts": `const a = Date.now();\nconst b = new Date();\nconst c = Date();\nconst d = Math.random();\nconst e = \`\${Date.now()}\`;\n`,
    "src/model/c.test.ts": `const a = Date.now();\nimport { test } from "node:test";\n`,
  });
  assert.deepEqual(
    lines.map((line) => line.split(":").slice(0, 2).join(":")),
    ["src/model/b.ts:1", "src/model/b.ts:5", "src/model/b.ts:2", "src/model/b.ts:3", "src/model/b.ts:4"],
  );
});

test("the model compiles without Node's globals and modules, or the place that needs them is told", (t) => {
  const root = tree(t, {
    "src/model/a.ts": `export const bytes = new TextEncoder().encode("x");\nexport const pid = process.pid;\n`,
    "src/model/b.ts": `import { readFileSync } from "node:fs";\nexport const c = readFileSync;\nexport const later = () => setTimeout;\n`,
    "src/model/c.test.ts": `import { test } from "node:test";\ntest;\n`,
    "package.json": `{ "type": "module" }`,
    "tsconfig.json": `{ "extends": ${JSON.stringify(join(import.meta.dirname, "../tsconfig.json"))} }`,
  });
  symlinkSync(join(import.meta.dirname, "../node_modules"), join(root, "node_modules"));
  const lines = impurities(root).map(({ file, line, message }) => `${file}:${line} ${message.split(": ")[1]}`);
  assert.deepEqual(lines.sort(), [
    "src/model/a.ts:2 Cannot find name 'process'.",
    "src/model/b.ts:1 Cannot find name 'node:fs'.",
    "src/model/b.ts:3 Cannot find name 'setTimeout'.",
  ]);
});

test("an answer of needs() that is thrown away is told", (t) => {
  const root = tree(t, {
    "test/kernel/a.test.ts": `test("x", (t) => {\n  needs(t, "root");\n});\ntest("y", (t) => {\n  if (!needs(t, "root")) return;\n});\n`,
  });
  assert.deepEqual(
    ignoredNeeds(root).map(({ file, line }) => `${file}:${line}`),
    ["test/kernel/a.test.ts:2"],
  );
});

test("a dropped promise of Node's own functions is told, one that is awaited or handed on is not", (t) => {
  const root = tree(t, {
    "src/node/a.ts": `import { rm, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
export async function f() {
  rm("a");
  await writeFile("b", "c");
  const g = () => rm("d");
  await Promise.all([
    rm("e"),
    rm("f"),
  ]);
  return rm("g");
}
delay(5);
`,
  });
  assert.deepEqual(
    floatingNodePromises(root).map(({ file, line }) => `${file}:${line}`),
    ["src/node/a.ts:4", "src/node/a.ts:13"],
  );
});

test("comments, strings, templates and regular expressions are told from code", () => {
  assert.equal(blank(`a /* b */ c // d`, false).trimEnd(), "a         c");
  assert.equal(blank(`x = "a // b"; y`, false), `x = "      "; y`);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a template literal is what is looked at
  assert.equal(blank("`a ${b + `c`} d` e", false), "`  ${b + ` `}  ` e");
  assert.equal(blank(`x = /"[/]/g; y = a / b; // c`, false).trimEnd(), `x = /    /g; y = a / b;`);
  assert.deepEqual(importsOf(`// import "a"\nconst s = 'import "b"';\nimport c from "d";\ntype E = import("f").G;\n`), [
    { specifier: "d", line: 3 },
    { specifier: "f", line: 4 },
  ]);
});

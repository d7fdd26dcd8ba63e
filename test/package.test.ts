import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "./needs.ts";

const root = join(import.meta.dirname, "..");

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** npm and the package as a user's shell would run them: without what `npm test` puts into the environment. */
function run(cwd: string, program: string, ...args: readonly string[]): Outcome {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(lifecycle|package)/.test(name)),
  );
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: "utf8", timeout: 100_000 });
  return { status, stdout, stderr };
}

function mustRun(cwd: string, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = run(cwd, program, ...args);
  assert.equal(status, 0, `${program} ${args.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
  return stdout;
}

test("the packed package works when installed elsewhere", async (t) => {
  if (!needs(t, "registry")) return;
  const folder = mkdtempSync(join(tmpdir(), "patchbay package "));
  t.after(() => rmSync(folder, { recursive: true, force: true }));

  // Packed from a copy, so that the working tree's dist stays as it is.
  const copy = join(folder, "sources");
  mkdirSync(copy);
  const { files }: { readonly files?: unknown } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.ok(Array.isArray(files));
  for (const name of [
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "src",
    "README.md",
    "LICENSE",
    ...files,
  ]) {
    if (name !== "dist" && existsSync(join(root, name)))
      cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  const packed: unknown = JSON.parse(mustRun(copy, "npm", "pack", "--json", "--pack-destination", folder));
  const names = packedFiles(packed);

  await t.test("it holds the program and the files that it reads, and no TypeScript", () => {
    for (const name of ["patchbay", "dist/cli/main.js", "LICENSE", "docs/findings/PB6900.md", "package.json"]) {
      assert.ok(names.includes(name), `${name} is not in the package`);
    }
    for (const part of ["guest/", "examples/"]) {
      assert.ok(
        names.some((name) => name.startsWith(part)),
        `nothing of ${part} is in the package`,
      );
    }
    assert.deepEqual(
      names.filter((name) => name.endsWith(".ts")),
      [],
    );
    const asTypeScript = names.filter(
      (name) =>
        name.endsWith(".js") &&
        /(new URL|Worker|resolve)\([^\n]*\.ts["'`]/.test(readFileSync(join(copy, name), "utf8")),
    );
    assert.deepEqual(asTypeScript, [], "these name a module by its .ts file, which the package does not have");
  });

  const home = join(folder, "elsewhere");
  mkdirSync(home);
  writeFileSync(join(home, "package.json"), "{}\n");
  const { version }: { readonly version?: unknown } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  mustRun(home, "npm", "install", "--no-audit", "--no-fund", join(folder, `patchbay-${version}.tgz`));

  await t.test("it runs on its own Node 24 through npx and through the link in .bin", () => {
    assert.equal(mustRun(home, "npx", "patchbay", "--version"), `${version}\n`);
    assert.equal(mustRun("/", join(home, "node_modules/.bin/patchbay"), "--version"), `${version}\n`);
  });

  await t.test("its commands load from JavaScript", () => {
    const { status, stdout, stderr } = run(home, "npx", "patchbay", "setup", "--check", "-o", "json");
    assert.ok(status === 0 || status === 1, stderr);
    const report: unknown = JSON.parse(stdout);
    assert.ok(typeof report === "object" && report !== null && "needs" in report && Array.isArray(report.needs));
  });

  await t.test("every module of it loads, with the libraries that it names", () => {
    // The program and the thread act when they are loaded.
    const modules = names.filter((name) => /^dist\/.*\.js$/.test(name) && !/(cli\/main|-thread)\.js$/.test(name));
    assert.ok(modules.length > 20);
    const script = `for (const name of ${JSON.stringify(modules)}) await import("./node_modules/patchbay/" + name);`;
    const node = join(home, "node_modules/node/bin/node");
    mustRun(home, node, "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script);
  });

  await t.test("without Node 24 it says how to bring it", () => {
    rmSync(join(home, "node_modules/node/bin"), { recursive: true });
    const { status, stderr } = run(home, join(home, "node_modules/.bin/patchbay"), "--version");
    assert.equal(status, 1);
    assert.match(stderr, /npm rebuild node/);
  });
});

function packedFiles(packed: unknown): readonly string[] {
  const first: unknown = Array.isArray(packed) ? packed[0] : Object.values(Object(packed))[0];
  assert.ok(typeof first === "object" && first !== null && "files" in first && Array.isArray(first.files));
  return first.files.map((file: unknown) => {
    assert.ok(typeof file === "object" && file !== null && "path" in file && typeof file.path === "string");
    return file.path;
  });
}

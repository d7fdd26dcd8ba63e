import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

const launcher = join(import.meta.dirname, "../patchbay");

/**
 * A clone with the real launcher and an npm that stands for the registry: it counts its runs in `npm-runs`, takes a
 * moment, and links this Node, as `npm ci` would bring one.
 */
function clone(
  t: TestContext,
  options: { readonly npm?: string } = {},
): { readonly root: string; readonly path: string } {
  const folder = mkdtempSync(join(tmpdir(), "patchbay launcher "));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const root = join(folder, "a clone");
  mkdirSync(join(root, "src/cli"), { recursive: true });
  copyFileSync(launcher, join(root, "patchbay"));
  chmodSync(join(root, "patchbay"), 0o755);
  writeFileSync(join(root, "package.json"), `{ "type": "module" }\n`);
  writeFileSync(join(root, "package-lock.json"), "{}\n");
  writeFileSync(join(root, "src/cli/main.ts"), "console.log(JSON.stringify(process.argv.slice(2)));\n");
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const npm = `#!/bin/sh
[ "$1" = config ] && { echo https://registry.invalid/; exit 0; }
echo run >> npm-runs
${options.npm ?? `sleep 0.3; mkdir -p node_modules/node/bin; ln -sf '${process.execPath}' node_modules/node/bin/node; touch node_modules/.package-lock.json`}
`;
  writeFileSync(join(bin, "npm"), npm, { mode: 0o755 });
  symlinkSync(process.execPath, join(bin, "node"));
  return { root, path: `${bin}:/usr/bin:/bin` };
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function launch(file: string, path: string, args: readonly string[] = [], cwd = "/"): Promise<Outcome> {
  const child = spawn(file, args, { cwd, env: { PATH: path }, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { status, stdout, stderr };
}

function runs(root: string): number {
  return existsSync(join(root, "npm-runs")) ? readFileSync(join(root, "npm-runs"), "utf8").split("\n").length - 1 : 0;
}

test("the first use brings the dependencies once, later uses start at once", async (t) => {
  const { root, path } = clone(t);
  const first = await launch(join(root, "patchbay"), path, ["a b", "--c"]);
  assert.equal(first.stdout, `["a b","--c"]\n`, first.stderr);
  assert.match(first.stderr, /npm ci/);
  const second = await launch(join(root, "patchbay"), path);
  assert.deepEqual(second, { status: 0, stdout: "[]\n", stderr: "" });
  assert.equal(runs(root), 1);
});

test("first uses at the same time bring the dependencies once", async (t) => {
  const { root, path } = clone(t);
  const all = await Promise.all([1, 2, 3].map((n) => launch(join(root, "patchbay"), path, [String(n)])));
  assert.deepEqual(
    all.map(({ stdout }) => stdout),
    [`["1"]\n`, `["2"]\n`, `["3"]\n`],
  );
  assert.equal(runs(root), 1);
});

test("a lock file that changed brings them again", async (t) => {
  const { root, path } = clone(t);
  await launch(join(root, "patchbay"), path);
  const soon = Date.now() / 1000 + 60;
  utimesSync(join(root, "package-lock.json"), soon, soon);
  await launch(join(root, "patchbay"), path);
  assert.equal(runs(root), 2);
});

test("it is found through links and from any folder", async (t) => {
  const { root, path } = clone(t);
  await launch(join(root, "patchbay"), path);
  symlinkSync(join(root, "patchbay"), join(root, "first"));
  symlinkSync("first", join(root, "second link"));
  assert.equal((await launch(join(root, "second link"), path, ["x"], tmpdir())).stdout, `["x"]\n`);
});

test("without npm, without the registry, and after a failed npm ci it says what to do", async (t) => {
  const bare = clone(t);
  rmSync(join(bare.path.split(":")[0] ?? "", "npm"));
  const without = await launch("/bin/sh", `${bare.path.split(":")[0]}:${toolsWithoutNpm(t)}`, [
    join(bare.root, "patchbay"),
  ]);
  assert.equal(without.status, 1);
  assert.match(without.stderr, /npm is not in PATH.*apt-get install nodejs npm/);

  const away = clone(t, { npm: "echo 'npm error code EAI_AGAIN'; exit 1" });
  const unreachable = await launch(join(away.root, "patchbay"), away.path);
  assert.equal(unreachable.status, 1);
  assert.match(unreachable.stderr, /EAI_AGAIN.*registry https:\/\/registry\.invalid\/ cannot be reached/s);

  const broken = clone(t, { npm: "echo 'npm error code EUSAGE'; exit 1" });
  const failed = await launch(join(broken.root, "patchbay"), broken.path);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /EUSAGE.*npm ci failed/s);
});

test("a node_modules that is a link is used as it is, and never emptied", async (t) => {
  const other = clone(t);
  await launch(join(other.root, "patchbay"), other.path);
  const { root, path } = clone(t);
  symlinkSync(join(other.root, "node_modules"), join(root, "node_modules"));
  const soon = Date.now() / 1000 + 60;
  utimesSync(join(other.root, "node_modules/.package-lock.json"), soon, soon);
  assert.equal((await launch(join(root, "patchbay"), path, ["x"])).stdout, `["x"]\n`);
  utimesSync(join(root, "package-lock.json"), soon + 60, soon + 60);
  const stale = await launch(join(root, "patchbay"), path);
  assert.equal(stale.status, 1);
  assert.match(stale.stderr, /node_modules is a symbolic link to .*a clone\/node_modules.*remove the link/);
  assert.equal(runs(root), 0);
  assert.ok(existsSync(join(other.root, "node_modules/node/bin/node")));
});

/** A folder with the few programs of the base system that the launcher calls, and no npm. */
function toolsWithoutNpm(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-tools-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ["readlink", "flock", "id"]) symlinkSync(join("/usr/bin", name), join(folder, name));
  return folder;
}

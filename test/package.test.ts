import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
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
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: "utf8", timeout: 200_000 });
  return { status, stdout, stderr };
}

/** The user `nobody`, whom every Linux system has. */
const NOBODY = 65_534;

/** Programs that an installed package needs, and no other: neither QEMU nor apt nor ip. */
const PROGRAMS = ["sh", "env", "readlink"];

/** A folder for PATH that holds just these programs, as they are found outside the working tree. */
function pathOf(folder: string, ...programs: readonly string[]): string {
  mkdirSync(folder);
  const places = (process.env["PATH"] ?? "").split(delimiter).filter((place) => !place.startsWith(root));
  for (const program of programs) {
    const found = places.map((place) => join(place, program)).find((file) => existsSync(file));
    assert.ok(found !== undefined, `${program} is not in PATH`);
    symlinkSync(found, join(folder, program));
  }
  return folder;
}

/** What a user with a new account has: nothing but the way to the registry. */
function freshEnvironment(home: string, path: string): Record<string, string> {
  const wayOut = /^(?:https?_proxy|no_proxy|npm_config_cafile|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i;
  const kept = Object.entries(process.env).filter(([name, value]) => wayOut.test(name) && value !== undefined);
  const registry = mustRun(home, "npm", "config", "get", "registry").trim();
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    HOME: home,
    PATH: path,
    npm_config_registry: registry,
  };
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

  await t.test("without its own Node 24 it takes the machine's, or says how to bring one", () => {
    rmSync(join(home, "node_modules/node/bin"), { recursive: true });
    const program = join(home, "node_modules/.bin/patchbay");
    const bare = pathOf(join(folder, "without node"), ...PROGRAMS);
    const withPath = (path: string): Outcome => run("/", "/usr/bin/env", `PATH=${path}`, program, "--version");
    const { status, stderr } = withPath(bare);
    assert.equal(status, 1);
    assert.match(stderr, /npm rebuild node/);
    assert.deepEqual(withPath(`${bare}:${dirname(process.execPath)}`), {
      status: 0,
      stdout: `${version}\n`,
      stderr: "",
    });
    writeFileSync(join(bare, "node"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    assert.equal(withPath(bare).status, 1);
  });

  await t.test("npx of the tarball validates a folder for an ordinary user in an empty home, with nothing else", () => {
    const user = join(folder, "user");
    const work = join(user, "work");
    const own = join(user, "home");
    for (const made of [user, work, own, join(work, "manifests"), join(work, "broken")]) mkdirSync(made);
    const tarball = `patchbay-${version}.tgz`;
    cpSync(join(folder, tarball), join(work, tarball));
    for (const name of ["bridge-multus", "bridge-definition", "macvlan-ipam-definition"]) {
      cpSync(join(root, "examples/documents", `${name}.yaml`), join(work, "manifests", `${name}.yaml`));
    }
    writeFileSync(
      join(work, "manifests/10-lan.conf"),
      '{"cniVersion": "1.0.0", "name": "lan", "type": "ptp", "mtv": 1400}\n',
    );
    writeFileSync(join(work, "broken/a.yaml"), "kind: VM\nspec: {domain: {devises: {}}}\n");
    const path = pathOf(join(folder, "programs"), "node", "npm", "npx", ...PROGRAMS);
    const env = freshEnvironment(own, path);
    const ids = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    chmodSync(folder, 0o755);
    if (process.getuid?.() === 0) {
      for (const made of [user, work, own, ...readdirSync(work).map((name) => join(work, name))]) {
        chownSync(made, NOBODY, NOBODY);
      }
    }
    const npx = (...args: readonly string[]): Outcome => {
      const { status, stdout, stderr } = spawnSync("npx", ["--yes", ...args], {
        cwd: work,
        env,
        encoding: "utf8",
        timeout: 200_000,
        ...ids,
      });
      return { status, stdout, stderr };
    };

    const first = npx(`./${tarball}`, "validate", "-f", "manifests");
    assert.equal(first.status, 0, `${first.stdout}\n${first.stderr}`);
    for (const told of [
      /^warning PB2709: /m,
      /^warning PB2713: /m,
      /--> manifests\/10-lan\.conf:1:/,
      /^\d+ warnings$/m,
    ]) {
      assert.match(first.stdout, told);
    }
    assert.notEqual(statSync(join(own, ".npm")).uid, 0);

    // From now on what the first run fetched is enough.
    const sarif = npx("--offline", `./${tarball}`, "validate", "-f", "manifests", "-f", "broken", "-o", "sarif");
    assert.equal(sarif.status, 1, sarif.stderr);
    const log: unknown = JSON.parse(sarif.stdout);
    assert.ok(typeof log === "object" && log !== null && "version" in log && "runs" in log && Array.isArray(log.runs));
    assert.equal(log.version, "2.1.0");
    const { results, tool } = log.runs[0];
    const ruleIds: readonly string[] = results.map(({ ruleId }: { readonly ruleId: string }) => ruleId);
    assert.ok(ruleIds.includes("PB1002") && ruleIds.includes("PB2709") && ruleIds.includes("PB2713"));
    for (const { id, help } of tool.driver.rules) assert.ok(help.markdown.startsWith(`# ${id}: `));
    assert.match(npx("--offline", `./${tarball}`, "validate", "--explain", "PB2709").stdout, /^# PB2709: /);
    assert.deepEqual(readdirSync(work).toSorted(), ["broken", "manifests", tarball]);
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

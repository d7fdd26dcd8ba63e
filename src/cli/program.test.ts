import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");

function patchbay(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", join(root, "src/cli/main.ts"), ...args],
    { encoding: "utf8", timeout: 60_000 },
  );
  return { status, stdout, stderr };
}

test("--version prints the package's version", () => {
  const { version }: { readonly version?: unknown } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.deepEqual(patchbay("--version"), { status: 0, stdout: `${version}\n`, stderr: "" });
});

test("help goes to stdout when it was asked for, to stderr with exit code 2 when nothing was", () => {
  const asked = patchbay("--help");
  assert.equal(asked.status, 0);
  assert.match(asked.stdout, /Usage: patchbay.*--data-dir.*setup/s);
  const nothing = patchbay();
  assert.equal(nothing.status, 2);
  assert.equal(nothing.stdout, "");
  assert.match(nothing.stderr, /Usage: patchbay/);
});

test("wrong usage is exit code 2, names what is wrong and what comes near", () => {
  const typo = patchbay("stup");
  assert.equal(typo.status, 2);
  assert.match(typo.stderr, /unknown command 'stup'.*setup/s);
  const format = patchbay("setup", "--check", "-o", "yaml");
  assert.equal(format.status, 2);
  assert.match(format.stderr, /'yaml' is invalid.*text, json/s);
  assert.equal(patchbay("setup", "--chek").status, 2);
});

test("a folder without a name is wrong usage, and not the folder that one is in", () => {
  for (const args of [
    ["down", "--data-dir", ""],
    ["up", "--image-dir="],
    ["run", "-f", "-", "--cni-conf-dir", ""],
  ]) {
    const { status, stderr } = patchbay(...args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /argument '' is invalid. Name a folder\./);
  }
  const asked = `process.env.PATCHBAY_DATA_DIR = ""; process.exitCode = await (await import("${root}/src/cli/program.ts")).main(["--help"]);`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", asked], { encoding: "utf8" });
  assert.match(stdout, /default:\s+"\/var\/lib\/patchbay"\)/);
  assert.doesNotMatch(stdout, /env:/);
});

test("setup --check -o json lists every need with what brings it, and its exit code says whether one is missing", () => {
  const { status, stdout } = patchbay("setup", "--check", "-o", "json");
  const report: { readonly ok?: unknown; readonly needs?: unknown } = JSON.parse(stdout);
  assert.equal(status, report.ok === true ? 0 : 1);
  assert.ok(Array.isArray(report.needs) && report.needs.length > 10);
  for (const need of report.needs) {
    assert.equal(typeof need.name, "string");
    assert.equal(typeof need.found, "boolean");
    assert.notEqual(need.cure, "");
    assert.equal(need.found, need.where !== null);
  }
});

test("explain speaks of files or of a VMI, and its JSON has claims by NIC", () => {
  const example = join(root, "examples/masquerade.yaml");
  const text = patchbay("explain", "-f", example);
  assert.equal(text.status, 0);
  assert.match(text.stdout, /^default\/masquerade, on a typical pod\n\nNIC default: masquerade on the pod network/);
  const { status, stdout } = patchbay("explain", "-f", example, "-o", "json");
  assert.equal(status, 0);
  const explained: { readonly nics?: unknown } = JSON.parse(stdout);
  assert.ok(Array.isArray(explained.nics) && explained.nics.length === 1);
  for (const { id, statement } of explained.nics[0].claims) {
    assert.match(id, /^masquerade\.[a-z0-9-]+$/);
    assert.notEqual(statement, "");
  }
  assert.equal(patchbay("explain").status, 2);
  assert.equal(patchbay("explain", "a", "-f", example).status, 2);
  const nobody = patchbay("explain", "a", "--data-dir", join(root, "no-such-folder"));
  assert.deepEqual([nobody.status, /PB6112/.test(nobody.stderr)], [1, true]);
});

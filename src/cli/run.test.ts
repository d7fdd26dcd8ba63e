import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readManifests } from "../model/manifest/read.ts";
import { isServed } from "./apply.ts";

test("what cannot be applied is refused before a daemon is started", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-run-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const data = join(folder, "data");
  const run = (input: string, ...more: readonly string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), "run", "-f", "-", "--data-dir", data, ...more], {
      input,
      encoding: "utf8",
    });
  const spec = "spec: {domain: {devices: {}, memory: {guest: 64Mi}}}\n";
  const vmi = `apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\n${spec}`;
  const generated = run(`${vmi}metadata: {generateName: a-}\n`);
  assert.equal(generated.status, 1);
  assert.match(generated.stderr, /PB1000.*metadata\.name/);
  const misspelt = run(`${vmi}metadata: {name: a}\nspce: {}\n`);
  assert.equal(misspelt.status, 1);
  assert.match(misspelt.stderr, /did you mean "spec"\?/);
  assert.equal(misspelt.stdout, "");
  const asJson = run(`${vmi}metadata: {name: a}\nspce: {}\n`, "-o", "json");
  assert.equal(asJson.status, 1);
  assert.match(asJson.stderr, /did you mean "spec"\?/);
  assert.equal((JSON.parse(asJson.stdout) as { findings: { code: string }[] }).findings[0]?.code, "PB1002");
  assert.equal(existsSync(data), false);
});

test("kinds of other programs are not applied", () => {
  const { documents } = readManifests(
    "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\n---\napiVersion: v1\nkind: ConfigMap\n",
    "a.yaml",
  );
  assert.deepEqual(documents.map(isServed), [false, true]);
});

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Fault } from "../../model/fault.ts";
import { podNetworkOf } from "./conf-dir.ts";

const folder = mkdtempSync(join(tmpdir(), "patchbay-cni-conf-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

function dirOf(files: Readonly<Record<string, string>>): string {
  const dir = join(folder, String(count++));
  mkdirSync(dir);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

function fault(dir: string): Fault {
  try {
    podNetworkOf(dir);
  } catch (thrown) {
    assert.ok(thrown instanceof Fault);
    return thrown;
  }
  return assert.fail("a network was found");
}

const conf = (name: string): string => JSON.stringify({ cniVersion: "1.0.0", name, type: "bridge" });

test("takes the first file by name, whatever its kind", () => {
  const files = { "20-b.conflist": conf("b"), "10-a.conf": conf("a"), "05.txt": "x", "30-c.json": conf("c") };
  const dir = dirOf(files);
  mkdirSync(join(dir, "00-folder.conflist"));
  const { network, file } = podNetworkOf(dir);
  assert.equal(network.name, "a");
  assert.equal(file, join(dir, "10-a.conf"));
  assert.equal(podNetworkOf(dirOf({ "a.json": conf("small"), "B.json": conf("capital") })).network.name, "capital");
});

test("an empty folder, none, and a file for a folder", () => {
  assert.equal(fault(dirOf({ README: "" })).code, "PB3001");
  assert.equal(fault(join(folder, "none")).code, "PB3001");
  const file = join(dirOf({ x: "" }), "x");
  assert.equal(fault(file).code, "PB3002");
});

test("a first file that cannot be used is named, never passed over", () => {
  const dir = dirOf({ "10-bad.conflist": '{\n"name": }', "20-good.conf": conf("good") });
  const bad = fault(dir);
  assert.equal(bad.code, "PB3003");
  assert.equal(bad.place, `${join(dir, "10-bad.conflist")}:2:9`);
  assert.match(bad.message, /10-bad\.conflist cannot be used: It is not valid JSON/);
  const several = fault(dirOf({ "a.conf": '{"cniVersion":"1.0.0"}' }));
  assert.equal(several.code, "PB3004");
  assert.match(several.message, /It has no "name"\.$/);
  assert.match(several.cure ?? "", /^Also: It has no "type"\./);
});

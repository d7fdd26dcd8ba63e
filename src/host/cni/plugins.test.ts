import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Fault } from "../../model/fault.ts";
import { DEFAULT_BIN_DIRS, findPlugin } from "./plugins.ts";

const folder = mkdtempSync(join(tmpdir(), "patchbay-cni-plugins-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const [one, two] = [join(folder, "one"), join(folder, "two")];
for (const dir of [one, two]) mkdirSync(dir);
for (const [path, mode] of [
  [join(one, "first"), 0o755],
  [join(two, "first"), 0o755],
  [join(two, "second"), 0o755],
  [join(one, "barred"), 0o644],
] as const) {
  writeFileSync(path, "#!/bin/sh\n");
  chmodSync(path, mode);
}
mkdirSync(join(one, "folder"));

function fault(type: string): Fault {
  try {
    findPlugin(type, [one, two]);
  } catch (thrown) {
    assert.ok(thrown instanceof Fault);
    return thrown;
  }
  return assert.fail(`${type} was found`);
}

test("finds a plugin in the first folder that has it", () => {
  assert.equal(findPlugin("first", [one, two]), join(one, "first"));
  assert.equal(findPlugin("second", ["/no/such/folder", one, two]), join(two, "second"));
});

test("names the folders, and a name that is near", () => {
  const missing = fault("secnd");
  assert.equal(missing.code, "PB3006");
  assert.equal(missing.message, `The CNI plugin "secnd" is in none of the folders ${one}, ${two}.`);
  assert.match(missing.cure ?? "", /^Did you mean "second"\?/);
  assert.doesNotMatch(fault("ovs-and-more").cure ?? "", /Did you mean/);
  assert.equal(fault("folder").code, "PB3006");
});

test("names where one of Debian's plugins is, else the package that has it", () => {
  const found = DEFAULT_BIN_DIRS.find((dir) => existsSync(join(dir, "macvlan")));
  const cure = found === undefined ? "apt-get install containernetworking-plugins" : `It is in ${found}: add`;
  assert.ok(fault("macvlan").cure?.includes(cure), fault("macvlan").cure);
});

test("a file without the right to execute", () => {
  const barred = fault("barred");
  assert.equal(barred.code, "PB3007");
  assert.equal(barred.cure, `chmod +x ${join(one, "barred")}`);
});

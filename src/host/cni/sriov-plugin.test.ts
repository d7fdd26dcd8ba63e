import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { builtinPlugin } from "./builtin.ts";
import { sriovPlugin } from "./sriov-plugin.ts";

const call = { type: "sriov", network: "fast", containerId: "pod", ifName: "net1", args: [], binDirs: [] } as const;
/** No machine has it. */
const DEVICE = "ffff:ff:1f.7";

// What a card does is in test/nested/sriov.test.ts: it takes one.
test("sriov without its device says so, and leaves nothing to take back", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "patchbay-sriov-"));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const refuses = (command: "ADD" | "CHECK", config: Readonly<Record<string, unknown>>, code: string, words: RegExp) =>
    assert.rejects(
      sriovPlugin({ ...call, command, config }),
      (thrown) => isFault(thrown) && thrown.code === code && words.test(thrown.message),
    );
  await refuses("ADD", { dataDir }, "PB3004", /"fast".*no "deviceID"/);
  await refuses("ADD", { dataDir, deviceID: DEVICE }, "PB4212", /ffff:ff:1f\.7 is no virtual function/);
  await refuses("CHECK", { dataDir, deviceID: DEVICE }, "PB4212", /ffff:ff:1f\.7/);
  // A device that went away meanwhile has nothing to be put back, and what was kept of it goes.
  const kept = join(dataDir, "pod-net1.json");
  writeFileSync(kept, JSON.stringify({ deviceId: DEVICE, before: { trust: false } }));
  assert.equal(await sriovPlugin({ ...call, command: "DEL", config: { dataDir } }), undefined);
  assert.equal(existsSync(kept), false);
  assert.equal(await sriovPlugin({ ...call, command: "DEL", config: { dataDir } }), undefined);
});

test("a device that another pod has is not touched, whichever daemon gave it", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "patchbay-sriov-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const add = () => sriovPlugin({ ...call, command: "ADD", config: { dataDir, deviceID: DEVICE } });
  const keep = (pod: string, state: object) => writeFileSync(join(dataDir, `${pod}-net1.json`), JSON.stringify(state));
  const refused = (code: string, words: RegExp) =>
    assert.rejects(
      add(),
      (thrown) => isFault(thrown) && thrown.code === code && words.test(`${thrown.message} ${thrown.cure}`),
    );
  keep("another", { deviceId: DEVICE, before: {}, netns: "/proc/self/ns/net" });
  await refused("PB4203", /ffff:ff:1f\.7 is another pod's.*remove .*another-net1\.json/);
  // A pod that is gone, this one's own, and another device are in nobody's way.
  keep("another", { deviceId: DEVICE, before: {}, netns: "/run/netns/patchbay-is-not-there" });
  keep("pod", { deviceId: DEVICE, before: {}, netns: "/proc/self/ns/net" });
  keep("third", { deviceId: "ffff:ff:1f.6", before: {}, netns: "/proc/self/ns/net" });
  await refused("PB4212", /is no virtual function/);
});

test("a binary of its name is run in its place", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-sriov-"));
  t.after(() => rmSync(folder, { recursive: true }));
  assert.equal(builtinPlugin("sriov", [folder]), sriovPlugin);
  writeFileSync(join(folder, "sriov"), "", { mode: 0o755 });
  assert.equal(builtinPlugin("sriov", [folder]), undefined);
});

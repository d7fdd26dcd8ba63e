import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { openImageStore } from "../host/images/store.ts";
import { makeHostWarnings } from "./host-warnings.ts";

test("who applies a VMI is told at once of images and devices that its guest cannot have here", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-warnings-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const images = await openImageStore(join(folder, "images"));
  const log = pino({ level: "silent" });
  const warnings = makeHostWarnings({ images, confDir: join(folder, "none"), binDirs: [], log });
  const told = (domain: object, devices: object = {}, volumes: readonly object[] = []): Promise<readonly string[]> => {
    const spec = { domain: { ...domain, devices: { autoattachPodInterface: false, ...devices } }, volumes };
    return warnings({ apiVersion: "", kind: "VirtualMachineInstance", metadata: { name: "a" }, spec }, [], undefined);
  };
  assert.deepEqual(await told({}), []);
  const [gpu = "", ...more] = await told({}, { gpus: [{ name: "g", deviceName: "d" }] });
  assert.match(gpu, /^PB5077: spec\.domain\.devices\.gpus: .* no such device\. Leave it out\.$/);
  assert.deepEqual(more, []);
  // No machine has pages of that size.
  const memory = { guest: "64Mi", hugepages: { pageSize: "3Mi" } };
  const disks = { disks: [{ name: "d", disk: { bus: "virtio" } }] };
  const both = await told({ memory }, disks, [{ name: "d", containerDisk: { image: "none" } }]);
  assert.deepEqual(
    both.map((line) => line.slice(0, 6)),
    ["PB5001", "PB5076"],
  );
});

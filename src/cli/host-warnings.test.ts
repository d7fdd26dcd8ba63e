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
  const [mouse = "", ...more] = await told({}, { inputs: [{ name: "m", type: "mouse", bus: "usb" }] });
  assert.match(mouse, /^PB5077: spec\.domain\.devices\.inputs\[0\]: .*"mouse".* Use type tablet/);
  assert.deepEqual(more, []);
  // The rules tell of these.
  const unfilled = { gpus: [{ name: "g", deviceName: "d" }], disks: [{ name: "root", disk: {} }] };
  assert.deepEqual(await told({}, unfilled, [{ name: "root", dataVolume: { name: "v" } }]), []);
  // No machine has pages of that size.
  const memory = { guest: "64Mi", hugepages: { pageSize: "3Mi" } };
  const disks = { disks: [{ name: "d", disk: { bus: "virtio" } }] };
  const both = await told({ memory }, disks, [{ name: "d", containerDisk: { image: "none" } }]);
  assert.deepEqual(
    both.map((line) => line.slice(0, 6)),
    ["PB5001", "PB5076"],
  );
});

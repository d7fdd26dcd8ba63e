import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { probeAccelerator, probeBoot } from "../../src/host/guest/accelerator.ts";
import { findQemuUser } from "../../src/host/guest/process.ts";
import { qemuFacts } from "../../src/host/guest/qemu-facts.ts";
import { needs } from "../needs.ts";
import { world } from "./qemu-world.ts";
import { tinyGuest } from "./tiny-guest.ts";

test("QEMU says what it is and offers", async (t) => {
  if (!needs(t, "qemu")) return;
  const facts = await qemuFacts();
  assert.match(facts.version, /^\d+\.\d+\.\d+$/);
  assert.ok(facts.machines.some((name) => /^pc-q35-\d/.test(name)));
  assert.ok(facts.devices.includes("virtio-net-pci"));
});

test("the probe boot reaches the guest's first process under TCG", async (t) => {
  if (!needs(t, "root", "qemu", "guestImage")) return;
  const at = world(t);
  const { kernel } = await tinyGuest(at.folder);
  const boot = await probeBoot({ accel: "tcg", kernel, user: findQemuUser(), workDir: at.folder, seconds: 120 });
  assert.deepEqual(boot, { reached: true });
});

test("a probe boot that hangs is ended, and one that fails has QEMU's words", async (t) => {
  if (!needs(t, "root", "qemu", "guestImage")) return;
  const at = world(t);
  const user = findQemuUser();
  const { kernel, initrd } = await tinyGuest(at.folder);
  const hangs = await probeBoot({ accel: "tcg", kernel, user, workDir: at.folder, seconds: 0.5 });
  assert.deepEqual(hangs, { reached: false, words: "" });
  const fails = await probeBoot({ accel: "tcg", kernel: initrd, user, workDir: at.folder, seconds: 60 });
  assert.ok(!fails.reached && fails.words !== "");
  assert.deepEqual(
    fs.readdirSync(at.folder).filter((name) => name.startsWith("probe-")),
    [],
  );
  assert.deepEqual(processesWith(`probe-${process.pid}.cpio`), []);
});

test("without a boot that succeeded the accelerator is TCG with a reason, and the answer is kept", async (t) => {
  if (!needs(t, "root", "qemu", "guestImage")) return;
  const at = world(t);
  const without = await probeAccelerator(at.folder, undefined);
  assert.equal(without.accel, "tcg");
  assert.match(without.reason ?? "", /\.$/);
  const { kernel } = await tinyGuest(at.folder);
  const found = await probeAccelerator(at.folder, kernel);
  assert.equal(found.reason === undefined, found.accel === "kvm");
  const cache = `${at.folder}/accelerator.json`;
  const kept = JSON.parse(fs.readFileSync(cache, "utf8"));
  fs.writeFileSync(cache, JSON.stringify({ ...kept, accel: "tcg", reason: "Kept." }));
  assert.deepEqual(await probeAccelerator(at.folder, kernel), { accel: "tcg", reason: "Kept." });
  fs.writeFileSync(cache, '{"key":');
  assert.deepEqual(await probeAccelerator(at.folder, kernel), found);
});

test("where /dev/kvm is there, a probe boot by root gives an answer in its time", async (t) => {
  if (!needs(t, "root", "qemu", "guestImage")) return;
  if (!fs.existsSync("/dev/kvm")) return;
  const at = world(t);
  const boot = await probeBoot({
    accel: "kvm",
    kernel: (await tinyGuest(at.folder)).kernel,
    user: { uid: 0, gid: 0 },
    workDir: at.folder,
    seconds: 2,
  });
  t.diagnostic(
    boot.reached ? "KVM boots a kernel here" : `KVM does not boot a kernel here: ${boot.words || "it hangs"}`,
  );
  assert.deepEqual(processesWith(`probe-${process.pid}.cpio`), []);
});

function processesWith(argument: string): string[] {
  return fs.readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return fs.readFileSync(`/proc/${entry}/cmdline`, "utf8").includes(argument);
    } catch {
      return false;
    }
  });
}

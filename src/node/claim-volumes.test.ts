import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../model/fault.ts";
import { claimUses, isForReading, type ReadyClaim } from "./claim-volumes.ts";

const claim = (fields: Partial<ReadyClaim>, accessModes = ["ReadWriteOnce"]): ReadyClaim => ({
  kind: "claim",
  name: "data",
  readOnly: false,
  found: { uid: "u1", image: "/i", info: { claimName: "data", accessModes } },
  ...fields,
});

test("a disk is read-only by its volume or its claim, and not on the bus sata", () => {
  const disk = { name: "root", bus: "virtio", cdrom: false } as const;
  assert.equal(isForReading(claim({}), disk, "p"), false);
  assert.equal(isForReading(claim({}, ["ReadOnlyMany", "ReadWriteOnce"]), disk, "p"), false);
  assert.equal(isForReading(claim({}, ["ReadOnlyMany"]), disk, "p"), true);
  assert.equal(isForReading(claim({ readOnly: true }), { ...disk, bus: "sata", cdrom: true }, "p"), true);
  assert.throws(
    () => isForReading(claim({ readOnly: true }), { ...disk, bus: "sata" }, "p"),
    (thrown) => isFault(thrown, "PB5072") && /"root" is read-only/.test(thrown.message),
  );
});

test("a guest writes on a claim unless disk or volume is read-only; an ephemeral one reads", () => {
  const disk = { name: "root", readOnly: false, tuning: { shareable: true } };
  const use = { uid: "u1", namespace: "default", name: "data", disk: "root", alone: false, shared: false };
  const found = (source: ReadyClaim, readOnly = false) => claimUses([{ ...disk, readOnly, source }], "default");
  const info = { claimName: "data", accessModes: ["ReadWriteOnce"] };
  assert.deepEqual(found(claim({})), [{ ...use, writes: true, shareable: true, info }]);
  assert.deepEqual(found(claim({}), true), [{ ...use, writes: false, shareable: true, info }]);
  assert.deepEqual(found(claim({ kind: "ephemeral" }, ["ReadWriteOncePod"])), [
    { ...use, writes: false, shareable: false, alone: true },
  ]);
  const many = ["ReadOnlyMany", "ReadWriteMany"];
  assert.deepEqual(found(claim({}, many)), [
    { ...use, writes: true, shareable: true, shared: true, info: { ...info, accessModes: many } },
  ]);
  assert.deepEqual(claimUses([{ ...disk, source: { kind: "emptyDisk" } }], "default"), []);
});

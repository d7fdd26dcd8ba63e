import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk, Volume } from "../api/volumes.ts";
import type { ClaimUse } from "../pods/claims.ts";
import { volumeStatuses } from "./volumes.ts";

const info = { claimName: "data", accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" } };
const use = {
  uid: "u",
  namespace: "default",
  name: "data",
  writes: true,
  shareable: false,
  alone: false,
  shared: false,
};
const claims: readonly ClaimUse[] = [
  { ...use, disk: "kept", info },
  { ...use, disk: "scratch" },
];
const disks: readonly Disk[] = [
  { name: "root" },
  { name: "disc", cdrom: {} },
  { name: "kept", disk: { bus: "scsi" } },
  { name: "scratch", disk: { bus: "virtio" } },
];
const volumes: readonly Volume[] = [
  { name: "scratch", ephemeral: { persistentVolumeClaim: { claimName: "data" } } },
  { name: "root", containerDisk: { image: "i" } },
  { name: "disc", cloudInitNoCloud: { userData: "u" } },
  { name: "kept", persistentVolumeClaim: { claimName: "data" } },
  { name: "account", serviceAccount: { serviceAccountName: "default" } },
];

test("each volume has its disk's device in the domain, and its claim where it is one, by name", () => {
  assert.deepEqual(volumeStatuses({ domain: { devices: { disks } }, volumes }, claims), [
    { name: "account", target: "" },
    { name: "disc", target: "sda" },
    { name: "kept", target: "sdb", persistentVolumeClaimInfo: info },
    { name: "root", target: "vda" },
    { name: "scratch", target: "vdb" },
  ]);
  assert.deepEqual(volumeStatuses({ domain: { devices: {} } }, []), []);
});

test("the twenty-seventh disk is called as Linux and libvirt call it", () => {
  const many = Array.from({ length: 28 }, (_, index) => `d${index}`);
  const names = (kind: readonly string[]) => kind.map((name): Disk => ({ name, disk: { bus: "virtio" } }));
  const found = volumeStatuses(
    {
      domain: { devices: { disks: names(many) } },
      volumes: many.map((name) => ({ name, emptyDisk: { capacity: 1 } })),
    },
    [],
  );
  const target = (of: string) => found.find(({ name }) => name === of)?.target;
  assert.deepEqual(["d0", "d25", "d26", "d27"].map(target), ["vda", "vdz", "vdaa", "vdab"]);
});

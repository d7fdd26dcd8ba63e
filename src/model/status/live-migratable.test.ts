import assert from "node:assert/strict";
import { test } from "node:test";
import type { Disk, Volume } from "../api/volumes.ts";
import type { ClaimUse } from "../pods/claims.ts";
import { nicContexts } from "../wiring/nics.ts";
import { liveMigratable, migrationMethod } from "./live-migratable.ts";

const use = (name: string, shared: boolean): ClaimUse => ({
  uid: name,
  namespace: "default",
  name,
  disk: "d",
  writes: true,
  shareable: false,
  alone: false,
  shared,
});

const CLAIMS = [use("alone", false), use("shared", true)];
const said = (...volumes: readonly Volume[]) => liveMigratable(volumes, CLAIMS, []);
const yes = { type: "LiveMigratable", status: "True" };

test("a claim for one node and a host disk keep a guest where it is, and each is named", () => {
  const alone: Volume = { name: "root", persistentVolumeClaim: { claimName: "alone" } };
  const host: Volume = { name: "own", hostDisk: { path: "/d", type: "Disk" } };
  const { status, reason, message } = said(alone, host);
  assert.deepEqual([status, reason], ["False", "DisksNotLiveMigratable"]);
  assert.match(message ?? "", /claim "alone" of the volume "root" .*ReadWriteMany.* "own" is not shared/);
});

test("what is shared, read as it was, or made anew keeps no guest", () => {
  const volumes: readonly Volume[] = [
    { name: "root", persistentVolumeClaim: { claimName: "shared" } },
    { name: "own", hostDisk: { path: "/d", type: "Disk", shared: true } },
    { name: "scratch", ephemeral: { persistentVolumeClaim: { claimName: "alone" } } },
    { name: "image", containerDisk: { image: "i" } },
  ];
  assert.deepEqual(said(...volumes), yes);
  assert.deepEqual(said(), yes);
});

test("disks are told before NICs", () => {
  const spec = {
    domain: { devices: { interfaces: [{ name: "red", bridge: {} }] } },
    networks: [{ name: "red", pod: {} }],
  };
  const nics = nicContexts({ spec, hostName: "guest" });
  const reason = (volumes: readonly Volume[]) => liveMigratable(volumes, CLAIMS, nics).reason;
  assert.equal(reason([{ name: "own", hostDisk: { path: "/d", type: "Disk" } }]), "DisksNotLiveMigratable");
  assert.equal(reason([]), "InterfaceNotLiveMigratable");
});

test("disks are copied unless another node has them or they are only read", () => {
  const shared: Volume = { name: "root", persistentVolumeClaim: { claimName: "shared" } };
  const seed: Volume = { name: "seed", cloudInitNoCloud: { userData: "u" } };
  const method = (volumes: readonly Volume[], disks: readonly Disk[] = []) =>
    migrationMethod({ domain: { devices: { disks } }, volumes }, CLAIMS);
  assert.equal(method([]), "LiveMigration");
  assert.equal(
    method([shared, { name: "own", hostDisk: { path: "/d", type: "Disk", shared: true } }]),
    "LiveMigration",
  );
  assert.equal(method([shared, seed], [{ name: "seed", cdrom: {} }]), "LiveMigration");
  assert.equal(method([shared, seed], [{ name: "seed", cdrom: { readonly: false } }]), "BlockMigration");
  assert.equal(method([shared, seed], [{ name: "seed", disk: { readonly: true } }]), "BlockMigration");
  assert.equal(method([{ name: "root", persistentVolumeClaim: { claimName: "alone" } }]), "BlockMigration");
  assert.equal(method([{ name: "root", hostDisk: { path: "/d", type: "Disk" } }]), "BlockMigration");
});

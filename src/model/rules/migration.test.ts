import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeObject } from "../api/resource.ts";
import { admitMigration, admitMigrationUpdate, type MigrationSurroundings } from "./migration.ts";

function migration(name: string, vmiName: string | undefined, phase?: string): KubeObject {
  return {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstanceMigration",
    metadata: { name, namespace: "default" },
    spec: vmiName === undefined ? {} : { vmiName },
    ...(phase === undefined ? {} : { status: { phase } }),
  };
}

function vmi(phase: string, conditions: readonly unknown[] = [], deletionTimestamp?: string): KubeObject {
  const metadata = { name: "vm1", ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) };
  return { apiVersion: "kubevirt.io/v1", kind: "VirtualMachineInstance", metadata, status: { phase, conditions } };
}

const around = (more: Partial<MigrationSurroundings> = {}): MigrationSurroundings => ({
  vmi: vmi("Running"),
  vmiNames: ["vm1"],
  migrations: [],
  ...more,
});

test("a migration of a running VMI is taken, with the label that finds it", () => {
  const answer = admitMigration(migration("m", "vm1"), around());
  assert.ok(answer.allowed);
  assert.deepEqual(answer.object.metadata.labels, { "kubevirt.io/vmi-name": "vm1" });
});

test("R94: a VMI that is not live-migratable refuses it with the condition's reason and message, and no cause", () => {
  const conditions = [
    { type: "LiveMigratable", status: "False", reason: "InterfaceNotLiveMigratable", message: "why" },
  ];
  const answer = admitMigration(migration("m", "vm1"), around({ vmi: vmi("Running", conditions) }));
  assert.ok(!answer.allowed);
  assert.deepEqual([answer.status, answer.causes], [400, []]);
  assert.match(answer.message, /^PB2094: Cannot migrate VMI, Reason: InterfaceNotLiveMigratable, Message: why$/);
  const can = [{ type: "LiveMigratable", status: "True" }];
  assert.ok(admitMigration(migration("m", "vm1"), around({ vmi: vmi("Running", can) })).allowed);
});

const refusals: readonly (readonly [string, KubeObject, Partial<MigrationSurroundings>, RegExp])[] = [
  ["no name", migration("m", undefined), {}, /^PB2441: /],
  ["a VMI that is not there", migration("m", "vm-1"), { vmi: undefined }, /^PB2442: .*Did you mean "vm1"\?/],
  ["a VMI that has ended", migration("m", "vm1"), { vmi: vmi("Failed") }, /^PB2442: /],
  ["a VMI that goes", migration("m", "vm1"), { vmi: vmi("Running", [], "2026-01-01T00:00:00Z") }, /^PB2442: /],
  [
    "another one on its way",
    migration("m", "vm1"),
    { migrations: [migration("a", "vm1", "Running")] },
    /^PB2443: .*by "a"/,
  ],
];
for (const [what, object, more, message] of refusals) {
  test(`a migration is refused for ${what}`, () => {
    const answer = admitMigration(object, around(more));
    assert.ok(!answer.allowed);
    assert.match(answer.message, message);
  });
}

test("migrations that have ended, and those of other VMIs, are in nobody's way", () => {
  const migrations = [
    migration("a", "vm1", "Succeeded"),
    migration("b", "vm1", "Failed"),
    migration("c", "vm2", "Running"),
  ];
  assert.ok(admitMigration(migration("m", "vm1"), around({ migrations })).allowed);
});

test("the spec stays, the rest may change", () => {
  const old = migration("m", "vm1");
  assert.ok(admitMigrationUpdate(old, { ...old, metadata: { ...old.metadata, labels: { a: "b" } } }).allowed);
  const answer = admitMigrationUpdate(old, migration("m", "vm2"));
  assert.ok(!answer.allowed);
  assert.deepEqual([answer.status, answer.causes[0]?.field], [422, "spec"]);
});

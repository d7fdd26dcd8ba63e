import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { PrinterColumn } from "../model/api/resource.ts";
import { compileJsonPath } from "./json-path.ts";
import { humanDuration, makeTablePrinter } from "./table.ts";

const vmi = {
  apiVersion: "kubevirt.io/v1",
  kind: "VirtualMachineInstance",
  metadata: { name: "vm1", creationTimestamp: "2026-01-01T00:00:00Z", labels: { "kubevirt.io/nodeName": "n1" } },
  status: {
    interfaces: [{ ipAddress: "10.244.0.2" }, { ipAddress: "fd10::2" }],
    conditions: [
      { type: "Ready", status: "True" },
      { type: "LiveMigratable", status: "False" },
    ],
  },
};

describe("a column's path", () => {
  const cases: readonly [string, readonly unknown[]][] = [
    [".metadata.name", ["vm1"]],
    ["{.metadata.name}", ["vm1"]],
    ["$.metadata.name", ["vm1"]],
    [".status.interfaces[0].ipAddress", ["10.244.0.2"]],
    [".status.interfaces[-1].ipAddress", ["fd10::2"]],
    [".status.interfaces[*].ipAddress", ["10.244.0.2", "fd10::2"]],
    [".status.conditions[?(@.type=='Ready')].status", ["True"]],
    ['.status.conditions[?(@.type=="Paused")].status', []],
    [".metadata.labels['kubevirt.io/nodeName']", ["n1"]],
    [".metadata.labels.kubevirt\\.io/nodeName", ["n1"]],
    [".status.missing.deeper", []],
  ];
  for (const [path, wanted] of cases) {
    test(path, () => assert.deepEqual(compileJsonPath(path)(vmi), wanted));
  }

  test("that is none is a defect of the definition", () => {
    assert.throws(() => compileJsonPath(".a[?(@.b > 3)]"), /cannot be read/);
  });
});

describe("a span of time", () => {
  const cases: readonly [number, string][] = [
    [-1, "0s"],
    [0, "0s"],
    [119, "119s"],
    [120, "2m"],
    [150, "2m30s"],
    [600, "10m"],
    [3 * 3600, "3h"],
    [3 * 3600 + 60, "3h1m"],
    [8 * 3600, "8h"],
    [48 * 3600, "2d"],
    [50 * 3600, "2d2h"],
    [9 * 86400, "9d"],
    [730 * 86400, "2y"],
    [8 * 365 * 86400, "8y"],
  ];
  for (const [seconds, wanted] of cases)
    test(`of ${seconds} s is ${wanted}`, () => assert.equal(humanDuration(seconds), wanted));
});

describe("a table", () => {
  const column = (name: string, jsonPath: string, type: PrinterColumn["type"] = "string"): PrinterColumn => ({
    name,
    jsonPath,
    type,
    description: "",
    priority: 0,
  });
  const definition = {
    group: "kubevirt.io",
    version: "v1",
    kind: "VirtualMachineInstance",
    plural: "virtualmachineinstances",
    singular: "virtualmachineinstance",
    shortNames: [],
    categories: [],
    namespaced: true,
    statusSubresource: true,
    columns: [column("IP", ".status.interfaces[0].ipAddress"), column("CPUs", ".spec.cpu", "integer")],
  };
  const now = () => Date.parse("2026-01-01T00:05:00Z");

  test("has the name first, an age of its own where no column has it, and metadata in its rows", () => {
    const table: unknown = makeTablePrinter(definition, now).table([vmi], { resourceVersion: "7" }, "v1", "Metadata");
    assert.deepEqual(JSON.parse(JSON.stringify(table)), {
      kind: "Table",
      apiVersion: "meta.k8s.io/v1",
      metadata: { resourceVersion: "7" },
      columnDefinitions: [
        {
          name: "Name",
          type: "string",
          format: "name",
          description: "Name must be unique within a namespace.",
          priority: 0,
        },
        { name: "IP", type: "string", format: "", description: "", priority: 0 },
        { name: "CPUs", type: "integer", format: "", description: "", priority: 0 },
        { name: "Age", type: "string", format: "", description: "The time since the object was created.", priority: 0 },
      ],
      rows: [
        {
          cells: ["vm1", "10.244.0.2", null, "5m"],
          object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: vmi.metadata },
        },
      ],
    });
  });

  test("has no second age", () => {
    const dated = { ...definition, columns: [column("Age", ".metadata.creationTimestamp", "date")] };
    const table = JSON.stringify(makeTablePrinter(dated, now).table([vmi], {}, "v1beta1", "None"));
    assert.match(table, /"rows":\[\{"cells":\["vm1","5m"\]\}\]/);
  });
});

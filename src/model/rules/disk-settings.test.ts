import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";

/** What is refused of a disk, each as its type, its field below the disks and its cure. */
function refused(disk: object): readonly string[] {
  const object = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", namespace: "b" },
    spec: {
      domain: { memory: { guest: "64Mi" }, devices: { disks: [{ name: "d", ...disk }] } },
      volumes: [{ name: "d", emptyDisk: { capacity: "1Gi" } }],
    },
  };
  const { problems } = judge("VirtualMachineInstance", object, undefined);
  return problems.map(({ code, type, field, cure = "" }) => {
    assert.equal(code, "PB2437");
    return `${type} ${field.replace("spec.domain.devices.", "")}: ${cure}`;
  });
}

test("settings of disks that KubeVirt knows are taken", () => {
  for (const cache of ["none", "writethrough", "writeback"]) assert.deepEqual(refused({ cache }), []);
  for (const io of ["native", "threads"]) assert.deepEqual(refused({ io, cache: "none" }), []);
  for (const errorPolicy of ["stop", "ignore", "report", "enospace"]) assert.deepEqual(refused({ errorPolicy }), []);
  const blockSize = { custom: { logical: 512, physical: 4096 }, matchVolume: { enabled: false } };
  assert.deepEqual(refused({ serial: "A_1.b+c-", blockSize, cache: "", io: "", disk: { bus: "virtio" } }), []);
  assert.deepEqual(refused({ dedicatedIOThread: true, disk: { bus: "virtio" } }), []);
});

test("others are refused with what was meant, at the fields that KubeVirt names", () => {
  assert.match(
    refused({ cache: "writeBack" })[0] ?? "",
    /^FieldValueInvalid disks\[0\]\.cache: Did you mean "writeback"\?/,
  );
  const [io = ""] = refused({ io: "default" });
  assert.match(io, /^FieldValueNotSupported disks\.domain\.devices\.disks\[0\]\.io: Use one of native, threads,/);
  const policy = refused({ errorPolicy: "enospc" })[0] ?? "";
  assert.match(policy, /^FieldValueInvalid disks\[0\]\.errorPolicy: Did you mean "enospace"/);
  assert.match(refused({ serial: "a b" })[0] ?? "", /^FieldValueInvalid disks\[0\]\.serial: Use letters/);
  assert.match(refused({ serial: "s".repeat(257) })[0] ?? "", /^FieldValueInvalid disks\[0\]\.serial: Use at most 256/);
  const thread = refused({ dedicatedIOThread: true, disk: { bus: "sata" } });
  assert.match(
    thread[0] ?? "",
    /^FieldValueNotSupported disks\.domain\.devices\.disks\[0\]: Leave dedicatedIOThread out/,
  );
});

test("blocks are of powers of two, the logical ones no larger than the physical ones", () => {
  const fields = (custom: object, more: object = {}) =>
    refused({ blockSize: { custom, ...more } }).map((line) => /disks\[0\]\.([^:]*)/.exec(line)?.[1]);
  assert.deepEqual(fields({ logical: 500, physical: 1000 }), ["blockSize.custom.logical", "blockSize.custom.physical"]);
  assert.deepEqual(fields({ logical: 4096, physical: 512 }), ["blockSize.custom.logical"]);
  assert.deepEqual(fields({ logical: 512, physical: 4_194_304 }), ["blockSize.custom.physical"]);
  assert.deepEqual(fields({ logical: 512, physical: 512 }, { matchVolume: {} }), ["blockSize"]);
});

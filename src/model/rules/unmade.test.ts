import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";

const memory = { memory: { guest: "64Mi" } };

function told(kind: "VirtualMachine" | "VirtualMachineInstance", spec: object): readonly string[] {
  const object = { apiVersion: "kubevirt.io/v1", kind, metadata: { name: "a", namespace: "b" }, spec };
  const { problems, advice } = judge(kind, object, undefined);
  assert.deepEqual(problems, []);
  return advice.map(({ code, field, message, cure }) => `${code} ${field}: ${message} ${cure}`);
}

test("what no guest is given here is told of at its place, what is empty is not", () => {
  const devices = { gpus: [], tpm: {}, disks: [{ name: "b", lun: {} }] };
  const volumes = [
    { name: "b", persistentVolumeClaim: { claimName: "c" } },
    { name: "d", downwardAPI: { fields: [] } },
    { name: "e", dataVolume: { name: "v" } },
  ];
  const places = told("VirtualMachineInstance", { domain: { ...memory, devices }, volumes });
  assert.deepEqual(
    places.map((line) => line.slice(0, line.indexOf(": "))),
    [
      "PB2511 spec.domain.devices.tpm",
      "PB2511 spec.domain.devices.disks[0].lun",
      "PB2511 spec.volumes[1].downwardAPI",
      "PB2511 spec.volumes[2].dataVolume",
    ],
  );
  assert.match(
    places[3] ?? "",
    /not started: nothing here fills a DataVolume\. Use containerDisk, or a persistentVolume/,
  );
  const plain = { domain: { ...memory, devices: { gpus: [], filesystems: [] } } };
  assert.deepEqual(told("VirtualMachineInstance", plain), []);
});

test("a template of a DataVolume is told of with what gives the guest the same disk", () => {
  const template = (source: object) => ({ metadata: { name: "v" }, spec: { source } });
  const registry = template({ registry: { url: "docker://quay.io/containerdisks/fedora:40" } });
  const [image = "", blank = "", volume = "", ...more] = told("VirtualMachine", {
    runStrategy: "Halted",
    dataVolumeTemplates: [registry, template({ blank: {} })],
    template: { spec: { domain: { ...memory, devices: {} }, volumes: [{ name: "e", dataVolume: { name: "v" } }] } },
  });
  const made =
    /^PB2511 spec\.dataVolumeTemplates\[0\]: The DataVolume "v" .* containerDisk: \{image: "quay\.io\/containerdisks\/fedora:40"\}/;
  assert.match(image, made);
  assert.match(blank, /^PB2511 spec\.dataVolumeTemplates\[1\]: .*\(CDI\)\. Apply a PersistentVolumeClaim "v"/);
  assert.match(volume, /^PB2511 spec\.template\.spec\.volumes\[0\]\.dataVolume: /);
  assert.deepEqual(more, []);
});

test("sizes and preferences by name are told of, with what to write instead", () => {
  const named = { instancetype: { name: "u1.small" }, preference: { name: "fedora" } };
  const vm = (domain: object) =>
    told("VirtualMachine", { runStrategy: "Halted", ...named, template: { spec: { domain } } });
  const [unsized = "", preferred = "", ...more] = vm({ devices: {} });
  assert.match(
    unsized,
    /^PB2511 spec\.instancetype: .* instancetype "u1\.small" is not started: .*domain\.memory\.guest/,
  );
  assert.match(preferred, /^PB2509 spec\.preference: The preference "fedora" has no effect here/);
  assert.deepEqual(more, []);
  assert.match(vm({ ...memory, devices: {} })[0] ?? "", /^PB2509 spec\.instancetype: .* as large as the template says/);
});

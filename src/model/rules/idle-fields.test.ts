import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "./judge.ts";

function advice(spec: Readonly<Record<string, unknown>>): readonly string[] {
  const object = {
    apiVersion: "kubevirt.io/v1",
    kind: "VirtualMachineInstance",
    metadata: { name: "a", namespace: "b" },
    spec: { ...spec },
  };
  const { problems, advice: told } = judge("VirtualMachineInstance", object, undefined);
  assert.deepEqual(problems, []);
  return told.map(({ code, field }) => `${code} ${field}`);
}

test("fields without an effect are told of at their place, those that are off are not", () => {
  const domain = { memory: { guest: "64Mi" } };
  const volumes = [{ name: "d", containerDisk: { image: "i", imagePullPolicy: "Always" } }];
  const disks = [{ name: "d", disk: { pciAddress: "0000:00:05.0" }, tag: "t" }];
  assert.deepEqual(
    advice({ domain: { ...domain, rebootPolicy: "Terminate", devices: { disks, sound: { name: "s" } } }, volumes }),
    [
      "PB2509 spec.domain.devices.sound",
      "PB2509 spec.domain.rebootPolicy",
      "PB2509 spec.domain.devices.disks[0].disk.pciAddress",
      "PB2509 spec.domain.devices.disks[0].tag",
      "PB2509 spec.volumes[0].containerDisk.imagePullPolicy",
    ],
  );
  const machine = {
    ...domain,
    cpu: { features: [{ name: "vmx" }], maxSockets: 4, isolateEmulatorThread: true },
    clock: { timezone: "Europe/Paris", timer: {} },
    features: { acpi: { enabled: false }, hyperv: {}, kvm: { hidden: true } },
    firmware: {
      kernelBoot: { container: { image: "i", kernelPath: "/k", imagePullPolicy: "Always", imagePullSecret: "s" } },
    },
    devices: {
      autoattachSerialConsole: false,
      autoattachMemBalloon: true,
      disks: [{ name: "d", cdrom: { tray: "open" } }],
    },
  };
  assert.deepEqual(advice({ domain: machine, volumes: [{ name: "d", containerDisk: { image: "i" } }] }).toSorted(), [
    "PB2509 spec.domain.clock.timer",
    "PB2509 spec.domain.clock.timezone",
    "PB2509 spec.domain.cpu.features",
    "PB2509 spec.domain.cpu.isolateEmulatorThread",
    "PB2509 spec.domain.cpu.maxSockets",
    "PB2509 spec.domain.devices.autoattachMemBalloon",
    "PB2509 spec.domain.devices.autoattachSerialConsole",
    "PB2509 spec.domain.devices.disks[0].cdrom.tray",
    "PB2509 spec.domain.features.acpi.enabled",
    "PB2509 spec.domain.features.hyperv",
    "PB2509 spec.domain.features.kvm.hidden",
    "PB2509 spec.domain.firmware.kernelBoot.container.imagePullPolicy",
    "PB2509 spec.domain.firmware.kernelBoot.container.imagePullSecret",
  ]);
  const matched = [{ name: "d", disk: {}, blockSize: { matchVolume: { enabled: true } } }];
  const volume = { name: "d", containerDisk: { image: "i" } };
  assert.deepEqual(
    advice({ domain: { ...domain, devices: { disks: matched } }, volumes: [volume], utilityVolumes: [{ name: "u" }] }),
    ["PB2509 spec.utilityVolumes", "PB2509 spec.domain.devices.disks[0].blockSize.matchVolume.enabled"],
  );
  const io = (fields: object) =>
    advice({ domain: { ...domain, devices: { disks: [{ name: "d", ...fields }] } }, volumes: [volume] });
  for (const cache of [{}, { cache: "writeback" }]) {
    assert.deepEqual(io({ io: "native", ...cache }), ["PB2509 spec.domain.devices.disks[0].io"]);
  }
  assert.deepEqual([...io({ io: "native", cache: "none" }), ...io({ io: "threads" })], []);
  const features = { acpi: {}, smm: { enabled: true } };
  const plain = { ...domain, cpu: { maxSockets: 0 }, clock: { utc: {} }, features, devices: {} };
  assert.deepEqual(advice({ domain: plain }), []);
  const off = { autoattachVSOCK: false, panicDevices: [] };
  assert.deepEqual(advice({ domain: { ...domain, rebootPolicy: "Reboot", devices: off } }), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../fault.ts";
import { planVmi } from "../wiring/plan.ts";
import { decideHardware } from "./hardware-decision.ts";
import { diskBus, hardwareRequest, type Offered } from "./hardware-request.ts";

const QEMU: Offered = { accel: "tcg", machines: ["pc-q35-7.2"], devices: ["virtio-net-pci"] };

test("all that hardware is decided from is taken from the domain", () => {
  const request = hardwareRequest(
    {
      machine: { type: "q35" },
      cpu: { cores: 2, model: "Haswell" },
      memory: { guest: "64Mi" },
      devices: {
        rng: {},
        useVirtioTransitional: true,
        disks: [
          { name: "a", disk: {} },
          { name: "b", cdrom: {} },
          { name: "c", disk: { bus: "usb" } },
          { name: "d", lun: {} },
        ],
      },
    },
    [],
    QEMU,
  );
  assert.deepEqual(request, {
    ...QEMU,
    machine: "q35",
    cpu: { sockets: 1, cores: 2, threads: 1, model: "Haswell" },
    memoryBytes: 64n << 20n,
    nics: [],
    disks: [
      { name: "a", bus: "virtio" },
      { name: "b", bus: "sata" },
      { name: "c", bus: "usb" },
    ],
    rng: true,
    graphics: true,
    virtioTransitional: true,
  });
  assert.equal(hardwareRequest({ devices: { autoattachGraphicsDevice: false } }, [], QEMU).graphics, false);
  const tablet = { devices: { autoattachInputDevice: true, watchdog: { i6300esb: {} } } };
  const asked = { "kubevirt.io/placePCIDevicesOnRootComplex": "true" };
  assert.deepEqual(hardwareRequest(tablet, [], QEMU, asked).rootComplex, {
    watchdog: true,
    inputs: [{ name: "default-0", type: "tablet", bus: "usb" }],
  });
  for (const value of ["True", "false", ""]) {
    const other = { "kubevirt.io/placePCIDevicesOnRootComplex": value };
    assert.equal(hardwareRequest(tablet, [], QEMU, other).rootComplex, undefined, value);
  }
  assert.equal(diskBus({ name: "e", disk: { bus: "ide" } }), undefined);
});

test("what the node refuses to start is not planned either, by the same code", () => {
  const disks = Array.from({ length: 7 }, (_, index) => ({ name: `d${index}`, disk: { bus: "sata" } }));
  for (const [code, domain] of [
    ["PB5053", { devices: { disks } }],
    ["PB5053", { cpu: { model: "a,b" }, devices: {} }],
    ["PB5050", { machine: { type: "isapc" }, devices: {} }],
  ] as const) {
    const refused = (thrown: unknown): boolean => isFault(thrown, code);
    assert.throws(() => decideHardware(hardwareRequest(domain, [], QEMU)), refused);
    assert.throws(() => planVmi({ namespace: "ns", name: "vm", hostName: "vm", spec: { domain } }), refused);
  }
  const annotations = { "kubevirt.io/placePCIDevicesOnRootComplex": "true" };
  const spec = {
    domain: { devices: { interfaces: [{ name: "default", masquerade: {} }] } },
    networks: [{ name: "default", pod: {} }],
  };
  const [nic] = planVmi({ namespace: "ns", name: "vm", hostName: "vm", spec, annotations }).nics;
  assert.equal(nic?.guest.pci, "0000:00:02.0");
});

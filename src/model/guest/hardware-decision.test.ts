import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isFault } from "../fault.ts";
import type { GuestNic, NicModel } from "../wiring/wiring.ts";
import { type GuestHardware, guestPciAddress } from "./hardware.ts";
import { decideHardware, type HardwareRequest } from "./hardware-decision.ts";

const devices = ["virtio-net-pci", "virtio-net-pci-transitional", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139"];

function nic(name: string, more: Partial<GuestNic> = {}): GuestNic {
  return {
    name,
    attachment: { kind: "tap", device: "tap0", queues: 1 },
    mac: "02:00:00:00:00:01",
    model: "virtio",
    mtu: 1500,
    queues: 1,
    linkUp: true,
    ...more,
  };
}

function decide(more: Partial<HardwareRequest> = {}): GuestHardware {
  return decideHardware({
    accel: "tcg",
    machines: ["q35", "pc-q35-7.2", "pc-i440fx-7.2"],
    devices,
    memoryBytes: 128n << 20n,
    nics: [],
    ...more,
  });
}

function refused(code: "PB5050" | "PB5051" | "PB5052" | "PB5053", words: RegExp, more: Partial<HardwareRequest>): void {
  assert.throws(
    () => decide(more),
    (thrown) => {
      assert.ok(isFault(thrown, code), String(thrown));
      assert.match(`${thrown.message} ${thrown.cure}`, words);
      return true;
    },
  );
}

test("the newest versioned q35, by number and not by letter", () => {
  const machines = ["pc-q35-9.2", "pc-q35-2.12", "pc-q35-10.0", "pc-q35-4.0.1", "q35", "pc-i440fx-11.0", "microvm"];
  assert.equal(decide({ machines }).machine, "pc-q35-10.0");
  assert.equal(decide({ machines, machine: "q35" }).machine, "pc-q35-10.0");
  assert.equal(decide({ machines, machine: "pc-q35-2.12" }).machine, "pc-q35-2.12");
  refused("PB5050", /pc-q35-rhel8\.6.*one of pc-q35-10\.0, pc-q35-9\.2/s, { machines, machine: "pc-q35-rhel8.6" });
  refused("PB5050", /no versioned q35/, { machines: ["q35", "microvm"] });
});

test("CPU and memory", () => {
  assert.deepEqual(decide().cpu, { model: "max", sockets: 1, cores: 1, threads: 1 });
  assert.equal(decide({ accel: "kvm", cpu: { model: "host-model" } }).cpu.model, "host");
  assert.deepEqual(decide({ cpu: { model: "Haswell", sockets: 2, cores: 0, threads: 3 } }).cpu, {
    model: "Haswell",
    sockets: 2,
    cores: 1,
    threads: 3,
  });
  refused("PB5053", /256 CPUs/, { cpu: { cores: 256 } });
  refused("PB5053", /"max,kvm=on" is no CPU model/, { cpu: { model: "max,kvm=on" } });
  refused("PB5053", /-1 CPUs/, { cpu: { cores: -1 } });
  assert.equal(decide({ memoryBytes: 64_000_000n }).memoryMiB, 62);
  refused("PB5053", /0 bytes/, { memoryBytes: 0n });
  refused("PB5053", /memory/, { memoryBytes: 1n << 63n });
});

test("every NIC has a root port of its own, conventional ones share a bridge, four ports are spare", () => {
  const hardware = decide({
    nics: [nic("a"), nic("b", { model: "e1000" }), nic("c", { model: "e1000e" }), nic("d", { model: "rtl8139" })],
  });
  assert.deepEqual(
    hardware.nics.map(({ place }) => place),
    [
      { bus: "port.1", slot: 0, function: 0, multifunction: false },
      { bus: "pci.conventional", slot: 1, function: 0, multifunction: false },
      { bus: "port.2", slot: 0, function: 0, multifunction: false },
      { bus: "pci.conventional", slot: 2, function: 0, multifunction: false },
    ],
  );
  assert.equal(hardware.bridges[0]?.place.bus, "port.7");
  assert.equal(hardware.ports.length, 3 + 4);
  const addresses = ["a", "b", "c", "d"].map((name) => guestPciAddress(hardware, name));
  assert.deepEqual(addresses, ["0000:01:00.0", "0000:08:01.0", "0000:02:00.0", "0000:08:02.0"]);
  assert.equal(guestPciAddress(hardware, "e"), undefined);
});

test("queues are virtio's, and a transitional device is conventional", () => {
  const hardware = decide({
    nics: [nic("a", { queues: 4 }), nic("b", { model: "e1000", queues: 4 })],
    virtioTransitional: true,
  });
  assert.deepEqual(
    hardware.nics.map(({ device, queues, place }) => [device, queues, place.bus]),
    [
      ["virtio-net-pci-transitional", 4, "pci.conventional"],
      ["e1000", 1, "pci.conventional"],
    ],
  );
});

test("addresses that the manifest gives", () => {
  const at = (address: string, name = "a") => nic(name, { pciAddress: address });
  const hardware = decide({ nics: [at("0000:00:02.0"), at("0000:00:02.3", "b"), nic("c")] });
  assert.equal(guestPciAddress(hardware, "a"), "0000:00:02.0");
  assert.equal(guestPciAddress(hardware, "b"), "0000:00:02.3");
  assert.equal(hardware.nics[0]?.place.multifunction, true);
  assert.equal(hardware.ports[0]?.place.slot, 3, "the port that would be there makes room");
  refused("PB5052", /domain 1/, { nics: [at("0001:02:00.0")] });
  refused("PB5052", /bus 02 cannot have/, { nics: [at("0000:02:01.0")] });
  refused("PB5052", /slot of the machine/, { nics: [at("0000:00:1f.0")] });
  refused("PB5052", /no PCI address/, { nics: [at("00:02")] });
  refused("PB5052", /taken/, { nics: [at("0000:00:05.0"), at("0000:00:05.0", "b")] });
});

test("an address on another bus is that of a root port where there is one, else of a root bus with its number", () => {
  const at = (name: string, pciAddress: string, more: Partial<GuestNic> = {}) => nic(name, { pciAddress, ...more });
  const hardware = decide({
    nics: [
      at("low", "0000:02:00.0"),
      nic("first"),
      nic("second"),
      nic("old", { model: "e1000" }),
      at("high", "0000:81:00.1"),
      at("higher", "0000:84:11.0"),
      at("between", "0000:82:00.0"),
      at("aside", "0000:00:05.3", { model: "e1000" }),
    ],
  });
  const seen = new Map(hardware.nics.map(({ name }) => [name, guestPciAddress(hardware, name)]));
  assert.deepEqual(
    [...seen],
    [
      ["low", "0000:02:00.0"],
      ["first", "0000:01:00.0"],
      ["second", "0000:03:00.0"],
      ["old", "0000:09:01.0"],
      ["high", "0000:81:00.1"],
      ["higher", "0000:84:11.0"],
      ["between", "0000:82:00.0"],
      ["aside", "0000:00:05.3"],
    ],
  );
  assert.deepEqual(
    hardware.expanders.map(({ number }) => number),
    [0x80],
    "one root bus for addresses in a row: its ports are 81, 82 and 83, and a bridge behind the last is 84",
  );
  assert.deepEqual(
    hardware.fillers.map(({ place }) => [place.bus, place.slot, place.function, place.multifunction]),
    [
      ["port.9", 0, 0, true],
      ["pcie.0", 5, 0, true],
    ],
  );
});

test("on the root complex all have slots of bus 0, in KubeVirt's order, past those that are asked for or left free", () => {
  const inputs = [
    { name: "pen", bus: "usb" },
    { name: "finger", bus: "virtio" },
  ];
  const hardware = decide({
    devices: [...devices, "vfio-pci"],
    nics: [
      nic("a"),
      nic("vf", { model: "vfio-pci", attachment: { kind: "vfio", pci: "0000:81:02.0" } }),
      nic("b", { model: "e1000" }),
      nic("at", { pciAddress: "0000:00:03.0" }),
      nic("c", { model: "e1000e" }),
    ],
    disks: [
      { name: "root", bus: "virtio" },
      { name: "more", bus: "scsi" },
      { name: "stick", bus: "usb" },
      { name: "cd", bus: "sata" },
    ],
    rng: true,
    rootComplex: { watchdog: true, inputs },
  });
  assert.deepEqual([hardware.ports, hardware.bridges, hardware.expanders], [[], [], []]);
  const slots = [...hardware.nics.map(({ name, place }) => [name, place] as const)]
    .concat(hardware.devices.map(({ id, place }) => [id, place]))
    .map(([name, { bus, slot, function: fn }]) => `${name} ${bus} ${slot.toString(16)}.${fn}`);
  assert.deepEqual(slots, [
    "a pcie.0 2.0",
    "vf pcie.0 6.0",
    "b pcie.0 4.0",
    "at pcie.0 3.0",
    "c pcie.0 5.0",
    "usb0 pcie.0 7.0",
    "scsi0 pcie.0 8.0",
    "channels pcie.0 9.0",
    "tablets pcie.0 a.0",
    "disk-root pcie.0 b.0",
    "input-finger pcie.0 c.0",
    "watchdog pcie.0 d.0",
    "rng0 pcie.0 e.0",
  ]);
  assert.equal(guestPciAddress(hardware, "vf"), "0000:00:06.0");

  const rootComplex = { watchdog: false, inputs: [] };
  const many = (count: number) => Array.from({ length: count }, (_, index) => nic(`n${index}`));
  const full = decide({ nics: many(27), rootComplex });
  const used = [...full.nics, ...full.devices].map(({ place }) => place.slot);
  assert.equal(used.length, 28, "the guest agent's channel is there as well");
  assert.deepEqual(
    Array.from({ length: 32 }, (_, slot) => slot).filter((slot) => !used.includes(slot)),
    [0, 1, 0x1b, 0x1f],
  );
  refused("PB5053", /PCI bus.*or the annotation kubevirt\.io\/placePCIDevicesOnRootComplex/, {
    nics: many(28),
    rootComplex,
  });

  const aside = decide({ nics: [nic("far", { pciAddress: "0000:81:00.1" }), nic("near")], rootComplex });
  assert.deepEqual(
    ["far", "near"].map((name) => guestPciAddress(aside, name)),
    ["0000:81:00.1", "0000:00:02.0"],
  );
});

test("what cannot be given says so", () => {
  refused("PB5051", /QEMU 8\.0.*pc-q35-7\.2/s, { nics: [nic("a", { model: "igb" })] });
  refused("PB5051", /no e1000e/, { devices: ["virtio-net-pci"], nics: [nic("a", { model: "e1000e" })] });
  refused("PB5053", /SATA/, { disks: Array.from({ length: 7 }, (_, n) => ({ name: `d${n}`, bus: "sata" as const })) });
  refused("PB5053", /PCI bus/, {
    disks: Array.from({ length: 300 }, (_, n) => ({ name: `d${n}`, bus: "virtio" as const })),
  });
});

test("no two devices share a place, whatever is asked; the same request gives the same hardware, also through JSON", () => {
  const model = fc.constantFrom<NicModel>("virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139");
  const address = fc.option(
    fc.oneof(
      fc.integer({ min: 2, max: 0x1e }).map((slot) => `0000:00:${slot.toString(16).padStart(2, "0")}.${slot & 7}`),
      fc.integer({ min: 1, max: 40 }).map((bus) => `0000:${bus.toString(16).padStart(2, "0")}:00.${bus & 3}`),
      fc.integer({ min: 1, max: 0x1f }).map((slot) => `0000:ef:${slot.toString(16).padStart(2, "0")}.5`),
    ),
    { nil: undefined, freq: 3 },
  );
  const request = fc.record({
    nics: fc.uniqueArray(fc.tuple(model, address), { maxLength: 20, selector: ([, asked]) => asked ?? {} }),
    disks: fc.array(fc.constantFrom("virtio" as const, "scsi" as const, "usb" as const), { maxLength: 20 }),
    rng: fc.boolean(),
  });
  let planned = 0;
  fc.assert(
    fc.property(request, ({ nics, disks, rng }) => {
      const more = {
        rng,
        disks: disks.map((bus, index) => ({ name: `d${index}`, bus })),
        nics: nics.map(([kind, asked], index) =>
          nic(`n${index}`, {
            model: kind,
            ...(asked === undefined ? {} : { pciAddress: asked }),
          }),
        ),
      };
      let hardware: GuestHardware;
      try {
        hardware = decide(more);
      } catch (thrown) {
        // Some addresses do not go together.
        assert.ok(isFault(thrown, "PB5052"));
        return;
      }
      planned += 1;
      const places = [
        ...hardware.ports.map(({ place }) => place),
        ...hardware.nics.map(({ place }) => place),
        ...hardware.devices.map(({ place }) => place),
        ...hardware.expanders.map(({ place }) => place),
        ...hardware.fillers.map(({ place }) => place),
        ...hardware.bridges.map(({ place }) => place),
      ].map(({ bus, slot, function: fn }) => `${bus} ${slot}.${fn}`);
      assert.equal(new Set(places).size, places.length);
      const seen = hardware.nics.map(({ name }) => guestPciAddress(hardware, name));
      assert.equal(new Set(seen).size, nics.length);
      for (const [index, [, asked]] of nics.entries()) if (asked !== undefined) assert.equal(seen[index], asked);
      const used = new Set([...hardware.nics, ...hardware.bridges].map(({ place }) => place.bus));
      assert.ok(hardware.ports.filter(({ id }) => !used.has(id)).length >= 4);
      assert.equal(new Set(hardware.ports.map(({ chassis }) => chassis)).size, hardware.ports.length);
      assert.deepEqual(decide(more), hardware);
      assert.deepEqual(JSON.parse(JSON.stringify(hardware)), hardware);
    }),
  );
  assert.ok(planned >= 50, `${planned} of 100 planned`);
});

test("an ACPI index is from 1 to 16383 and there once; below 1 there is none", () => {
  const indexes = (...given: readonly number[]) => ({
    nics: given.map((acpiIndex, place) => nic(`n${place}`, { acpiIndex })),
  });
  assert.deepEqual(
    decide(indexes(1, 16_383, 0, -1, 0)).nics.map(({ acpiIndex }) => acpiIndex),
    [1, 16_383, undefined, undefined, undefined],
  );
  refused("PB5053", /"n0" cannot have the acpiIndex 16384\. Use 1 to 16383/, indexes(16_384));
  refused("PB5053", /"n0" and "n2" have the same acpiIndex 7/, indexes(7, 8, 7));
});

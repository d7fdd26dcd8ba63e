import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuestNic } from "../wiring/wiring.ts";
import { decideHardware } from "./hardware-decision.ts";
import { taggedNics } from "./tagged-nics.ts";

test("the guest is told of NICs with a tag: where they are, and their MAC where it is known", () => {
  const base = { mac: "02:00:00:00:00:01", mtu: 1500, queues: 1, linkUp: true } as const;
  const tap = { kind: "tap", device: "tap0", queues: 1 } as const;
  const vfio = (name: string, index: number): GuestNic => ({
    ...base,
    name,
    model: "vfio-pci",
    attachment: { kind: "vfio", pci: `0000:02:10.${index}` },
  });
  const hardware = decideHardware({
    accel: "tcg",
    machines: ["pc-q35-7.2"],
    devices: ["virtio-net-pci", "vfio-pci"],
    memoryBytes: 256n << 20n,
    nics: [{ ...base, name: "office", model: "virtio", attachment: tap }, vfio("fast", 0), vfio("known", 1)],
  });
  const known = "02:00:00:00:00:09";
  const interfaces = [
    { name: "office", masquerade: {}, tag: "mgmt" },
    { name: "fast", sriov: {}, tag: "data" },
    { name: "known", sriov: {}, macAddress: known, tag: "data" },
    { name: "gone", sriov: {}, tag: "x" },
  ];
  assert.deepEqual(taggedNics(interfaces, hardware), [
    { type: "nic", bus: "pci", address: "0000:01:00.0", mac: base.mac, tags: ["mgmt"] },
    { type: "nic", bus: "pci", address: "0000:02:00.0", tags: ["data"] },
    { type: "nic", bus: "pci", address: "0000:03:00.0", mac: base.mac, tags: ["data"] },
  ]);
  assert.deepEqual(taggedNics([{ name: "office", masquerade: {} }], hardware), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { decideHardware } from "../../model/guest/hardware-decision.ts";
import type { GuestNic } from "../../model/wiring/wiring.ts";
import { readyDeadlineMs } from "./runner.ts";

test("a guest with a device of the host, or on huge pages, may take longer to start, the more memory is cleared for it", () => {
  const allowed = (attachment: GuestNic["attachment"], gibibytes: bigint, hugepageBytes?: number): number => {
    const model = attachment.kind === "vfio" ? "vfio-pci" : "virtio";
    const nic = { name: "x", attachment, model, mac: "02:00:00:00:00:01", mtu: 1500, queues: 1, linkUp: true } as const;
    const hardware = decideHardware({
      accel: "tcg",
      machines: ["pc-q35-7.2"],
      devices: ["vfio-pci", "virtio-net-pci"],
      memoryBytes: gibibytes << 30n,
      nics: [nic],
      disks: [],
    });
    return readyDeadlineMs({ nics: [nic], hardware, ...(hugepageBytes && { devices: { hugepageBytes } }) });
  };
  const tap = { kind: "tap", device: "tap0", queues: 1 } as const;
  const device = { kind: "vfio", pci: "0000:02:10.0" } as const;
  assert.equal(allowed(tap, 64n), allowed(tap, 1n));
  // Half a GiB a second.
  assert.equal(allowed(device, 64n) - allowed(tap, 64n), 131_072);
  assert.equal(allowed(tap, 64n, 2 << 20), allowed(device, 64n));
});

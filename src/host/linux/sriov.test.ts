import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CARD, driverOf, functionAddress, makeSysfs, type SysfsTree } from "../../../test/sysfs-tree.ts";
import { isFault } from "../../model/fault.ts";
import type { SriovStep } from "../../model/sriov/steps.ts";
import { executeSriov } from "./sriov-execute.ts";
import { readSriovInventory } from "./sriov-inventory.ts";
import { grantGroup, revokeGroup } from "./vfio-group.ts";

function tree(t: TestContext, options: Parameters<typeof makeSysfs>[0] = {}): SysfsTree {
  const made = makeSysfs(options);
  t.after(made.remove);
  return made;
}

async function done(made: SysfsTree, ...steps: readonly SriovStep[]): Promise<void> {
  for (const step of steps) {
    await executeSriov(step, made.sys);
    made.react();
  }
}

test("cards and their functions are read out of sysfs", async (t) => {
  const made = tree(t, { numaNode: 1 });
  assert.deepEqual(readSriovInventory(made.sys), {
    cards: [
      {
        pci: CARD,
        link: "pf0",
        mtu: 1500,
        up: false,
        vendor: "8086",
        device: "10c9",
        driver: "igb",
        totalVfs: 7,
        vfs: [],
      },
    ],
    drivers: ["igb", "igbvf", "vfio-pci"],
    iommu: true,
  });
  await done(
    made,
    { do: "card.functions", pci: CARD, count: 2, probe: false },
    { do: "driver.bind", pci: functionAddress(1), driver: "vfio-pci" },
  );
  assert.deepEqual(readSriovInventory(made.sys).cards[0]?.vfs, [
    { index: 0, pci: functionAddress(0), group: 20, alone: true, numaNode: 1 },
    {
      index: 1,
      pci: functionAddress(1),
      driver: "vfio-pci",
      override: "vfio-pci",
      group: 21,
      alone: true,
      numaNode: 1,
    },
  ]);
  // A group that the host's own driver has a part of.
  const other = `bus/pci/devices/${functionAddress(0)}`;
  mkdirSync(join(made.sys, "kernel/iommu_groups/21/devices", functionAddress(0)));
  symlinkSync(join(made.sys, "bus/pci/drivers/igbvf"), join(made.sys, other, "driver"));
  assert.equal(readSriovInventory(made.sys).cards[0]?.vfs[1]?.alone, false);
  assert.deepEqual(readSriovInventory(join(made.sys, "nothing")), { cards: [], drivers: [], iommu: false });
});

test("each step writes what the kernel reads", async (t) => {
  const made = tree(t);
  const folder = `bus/pci/devices/${CARD}`;
  const functions = (count: number, probe = false) => ({ do: "card.functions", pci: CARD, count, probe }) as const;
  await done(made, functions(3), functions(2));
  assert.equal(made.read(`${folder}/sriov_numvfs`), "2");
  assert.equal(made.read(`${folder}/sriov_drivers_autoprobe`), "1");
  made.write(`${folder}/sriov_drivers_autoprobe`, "0");
  await done(made, functions(1));
  assert.equal(made.read(`${folder}/sriov_drivers_autoprobe`), "0", "as it was set, not as it usually is");
  // Whoever writes there fails.
  rmSync(join(made.sys, folder, "sriov_drivers_autoprobe"));
  symlinkSync("/dev/full", join(made.sys, folder, "sriov_drivers_autoprobe"));
  await assert.rejects(executeSriov(functions(2), made.sys), /PB4206|autoprobe/);
  await done(made, functions(2, true));
  assert.equal(made.read(`${folder}/sriov_numvfs`), "2");
  await done(made, { do: "link.mtu", link: "pf0", mtu: 9000 }, { do: "link.up", link: "pf0" });
  assert.deepEqual([made.read("class/net/pf0/mtu"), made.read("class/net/pf0/flags")], ["9000", "0x1003"]);
  const pci = functionAddress(0);
  await done(made, { do: "driver.bind", pci, driver: "vfio-pci" });
  assert.equal(driverOf(made, pci), "vfio-pci");
  await done(made, { do: "driver.bind", pci, driver: undefined });
  assert.deepEqual([driverOf(made, pci), made.read("bus/pci/drivers/vfio-pci/unbind")], ["igbvf", pci]);
});

test("what the kernel refuses is told with the file, the value and what to do", async (t) => {
  const made = tree(t);
  const file = join(made.sys, "bus/pci/devices", CARD, "sriov_numvfs");
  const step = { do: "card.functions", pci: CARD, count: 2, probe: false } as const;
  const fails = async (code: string, words: RegExp, what: SriovStep = step): Promise<void> => {
    await assert.rejects(
      executeSriov(what, made.sys),
      (thrown) => isFault(thrown) && thrown.code === code && words.test(thrown.message) && thrown.cure !== undefined,
    );
  };
  // The one file that refuses every write.
  rmSync(join(made.sys, "bus/pci/devices", CARD, "net/pf0/mtu"));
  symlinkSync("/dev/full", join(made.sys, "bus/pci/devices", CARD, "net/pf0/mtu"));
  await fails("PB4206", /"9000" to .*mtu: ENOSPC/, { do: "link.mtu", link: "pf0", mtu: 9000 });
  rmSync(file);
  await fails("PB4206", /sriov_numvfs: ENOENT/);
  assert.equal(made.read(`bus/pci/devices/${CARD}/sriov_drivers_autoprobe`), "1");
  await fails("PB4206", /class\/net\/gone\/mtu: ENOENT/, { do: "link.mtu", link: "gone", mtu: 1500 });
  await fails("PB4206", /driver_override: ENOENT/, { do: "driver.bind", pci: "0000:09:00.0", driver: "vfio-pci" });
  await fails("PB4204", /no driver patchbay-has-no-such-driver/, {
    do: "driver.load",
    driver: "patchbay-has-no-such-driver",
  });
});

test("the file of an IOMMU group is QEMU's while a guest has the device, and root's before and after", async (t) => {
  const made = tree(t);
  await done(made, { do: "card.functions", pci: CARD, count: 1, probe: false });
  const dev = mkdtempSync(join(tmpdir(), "patchbay-vfio-"));
  t.after(() => rmSync(dev, { recursive: true }));
  const pci = functionAddress(0);
  const refuses = (words: RegExp, address = pci): void =>
    assert.throws(
      () => grantGroup(address, { uid: 0, gid: 0 }, made.sys, dev),
      (thrown) => isFault(thrown, "PB4211") && words.test(thrown.message),
    );
  refuses(/no IOMMU group/, CARD);
  refuses(/\/20 is not there/);
  writeFileSync(join(dev, "20"), "");
  refuses(/\/vfio is not there/);
  writeFileSync(join(dev, "vfio"), "", { mode: 0o600 });
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  grantGroup(pci, owner, made.sys, dev);
  assert.deepEqual(
    [statSync(join(dev, "20")).uid, statSync(join(dev, "20")).mode & 0o777, statSync(join(dev, "vfio")).mode & 0o777],
    [owner.uid, 0o600, 0o666],
  );
  if (owner.uid === 0) revokeGroup(pci, made.sys, dev);
  revokeGroup("0000:09:00.0", made.sys, dev);
});

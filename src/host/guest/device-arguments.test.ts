import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { decideHardware, type HardwareRequest } from "../../model/guest/hardware-decision.ts";
import { qemuCommandLine } from "./command-line.ts";
import { findEfi } from "./efi.ts";
import type { GuestDevices, GuestSpec } from "./guest-spec.ts";
import { hugepageCapacity, requireHugepages } from "./hugepages.ts";

function commandLine(devices: GuestDevices, graphics = false, more: Partial<HardwareRequest> = {}): string {
  const hardware = decideHardware({
    accel: "tcg",
    machines: ["pc-q35-7.2"],
    devices: [],
    memoryBytes: 256n << 20n,
    nics: [],
    graphics,
    ...more,
  });
  const spec: GuestSpec = { name: "n", uuid: "u", hardware, accel: "tcg", disks: [], nics: [], devices };
  return qemuCommandLine(spec, new Map()).join(" ");
}

function folder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const made = mkdtempSync(join(tmpdir(), "devices-"));
  t.after(() => rmSync(made, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(made, name, ".."), { recursive: true });
    writeFileSync(join(made, name), text);
  }
  return made;
}

const refused =
  (code: "PB5075" | "PB5076", words: RegExp) =>
  (thrown: unknown): boolean =>
    isFault(thrown, code) && words.test(`${thrown.message} ${thrown.cure ?? ""}`);

test("a guest has the devices that it was given, and no others", () => {
  const line = commandLine({
    watchdog: "shutdown",
    serial: "S,1",
    hugepageBytes: 2 << 20,
    tablets: [
      { name: "a", bus: "usb" },
      { name: "b", bus: "virtio" },
    ],
  });
  assert.match(line, /-device i6300esb,id=watchdog,bus=pcie\.0 -action watchdog=shutdown/);
  assert.match(line, /-smbios type=1,serial=S,,1/);
  assert.match(line, /-machine \S*,memory-backend=memory /);
  assert.match(line, /memory-backend-memfd,id=memory,size=256M,hugetlb=on,hugetlbsize=2097152,prealloc=on/);
  assert.match(line, /usb-tablet,id=input-a,bus=tablets\.0/);
  assert.match(line, /virtio-tablet-pci,id=input-b/);
  assert.doesNotMatch(line, /-vnc|VGA|pflash/);
  assert.doesNotMatch(commandLine({}), /i6300esb|smbios|hugetlb|tablet|pflash/);
  assert.match(commandLine({}, true), /-device VGA,\S+ .*-vnc unix:vnc\.sock/);
});

test("on the root complex they have the slots that were decided", () => {
  const tablets = [
    { name: "a", bus: "usb" },
    { name: "b", bus: "virtio" },
  ] as const;
  const line = commandLine({ watchdog: "reset", tablets }, false, { rootComplex: { watchdog: true, inputs: tablets } });
  assert.match(line, /virtio-serial-pci,id=channels,\S*bus=pcie\.0,addr=0x2\.0x0/);
  assert.match(line, /qemu-xhci,id=tablets,bus=pcie\.0,addr=0x3\.0x0/);
  assert.match(line, /virtio-tablet-pci,id=input-b,bus=pcie\.0,addr=0x4\.0x0/);
  assert.match(line, /i6300esb,id=watchdog,bus=pcie\.0,addr=0x5\.0x0/);
  assert.doesNotMatch(line, /root-port/);
});

test("EFI is two flash chips, and with secure boot only the firmware writes the second", () => {
  const efi = { code: "/code.fd", variables: "v.fd" };
  const plain = commandLine({ efi: { ...efi, secureBoot: false } });
  assert.match(plain, /-machine \S*,pflash0=efi-code,pflash1=efi-variables /);
  assert.match(plain, /node-name=efi-code-file,filename=\/code\.fd,read-only=on/);
  assert.match(plain, /node-name=efi-variables-file,filename=v\.fd,read-only=off/);
  assert.doesNotMatch(plain, /smm=|property=secure/);
  assert.match(commandLine({ efi: { ...efi, secureBoot: true } }), /smm=on .*property=secure,value=on/);
});

test("the firmware is looked for, the newer build first", (t) => {
  const names = ["OVMF_CODE.fd", "OVMF_VARS.fd"];
  const old = folder(t, Object.fromEntries(names.map((name) => [name, ""])));
  assert.equal(findEfi(false, old).code, join(old, "OVMF_CODE.fd"));
  writeFileSync(join(old, "OVMF_CODE_4M.fd"), "");
  writeFileSync(join(old, "OVMF_VARS_4M.fd"), "");
  assert.equal(findEfi(false, old).variables, join(old, "OVMF_VARS_4M.fd"));
  assert.throws(() => findEfi(true, old), refused("PB5075", /with secure boot.*apt-get install ovmf/));
});

test("huge pages are counted before they are asked for", (t) => {
  const page = 2n << 20n;
  const pools = folder(t, { "hugepages-2048kB/free_hugepages": "10\n", "hugepages-2048kB/resv_hugepages": "2\n" });
  assert.doesNotThrow(() => requireHugepages(page, 8n * page, pools));
  assert.throws(
    () => requireHugepages(page, 9n * page, pools),
    refused("PB5076", /needs 9 .* 8 are free.*nr_hugepages/),
  );
  assert.throws(() => requireHugepages(page, page + 1n, pools), refused("PB5076", /no whole number.*4194304/));
  assert.throws(() => requireHugepages(1n << 30n, 1n << 30n, pools), refused("PB5076", /no huge pages.*Use 2Mi/));
  assert.throws(() => requireHugepages(page, page, join(pools, "none")), refused("PB5076", /none at all/));
});

test("a node tells what it has in huge pages, by their sizes, and is silent of sizes that it has none of", (t) => {
  const pages = (count: number): string => `${count}\n`;
  const pools = folder(t, {
    "hugepages-2048kB/nr_hugepages": pages(160),
    "hugepages-1048576kB/nr_hugepages": pages(3),
    "hugepages-64kB/nr_hugepages": pages(1),
    "hugepages-32kB/nr_hugepages": pages(0),
  });
  const capacity = { "hugepages-2Mi": "320Mi", "hugepages-1Gi": "3Gi", "hugepages-64Ki": "64Ki" };
  assert.deepEqual(hugepageCapacity(pools), capacity);
  assert.deepEqual(hugepageCapacity(join(pools, "none")), {});
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { GuestDisk, GuestSpec } from "../../src/host/guest/guest-spec.ts";
import { findQemus, findQemuUser, isRunning } from "../../src/host/guest/process.ts";
import { connectQmp } from "../../src/host/guest/qmp.ts";
import { localRunner } from "../../src/host/guest/runner.ts";
import type { GuestRecord, RunningGuest } from "../../src/host/guest/running-guest.ts";
import { isFault } from "../../src/model/fault.ts";
import { guestPciAddress } from "../../src/model/guest/hardware.ts";
import type { GuestNic, NicModel } from "../../src/model/wiring/wiring.ts";
import { needs } from "../needs.ts";
import { closeAll, nic, openTaps, type TextConsole, textConsole, tinySpec, type World, world } from "./qemu-world.ts";
import { READY } from "./tiny-guest.ts";

async function boot(at: World, spec: GuestSpec): Promise<RunningGuest> {
  const fds = openTaps(at, spec.nics);
  try {
    const guest = await localRunner().start(spec, fds, at);
    at.after(() => localRunner().destroy(guest.record));
    return guest;
  } finally {
    closeAll(fds);
  }
}

async function consoleOf(at: World): Promise<TextConsole> {
  const console = await textConsole(`${at.runDir}/serial.sock`);
  at.after(() => console.close());
  return console;
}

function procStatus(pid: number): Record<string, string> {
  const lines = fs.readFileSync(`/proc/${pid}/status`, "utf8").trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2)));
}

test("S3.64: QEMU runs without privilege in the pod's namespace, and shuts down at the power button", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const guest = await boot(at, await tinySpec(at, [nic("default")]));
  const { pid } = guest.record;
  const user = findQemuUser();
  const status = procStatus(pid);
  assert.match(status["Uid"] ?? "", new RegExp(`^(${user.uid}\\s*){4}$`));
  assert.match(status["Gid"] ?? "", new RegExp(`^(${user.gid}\\s*){4}$`));
  assert.equal(status["Groups"]?.trim(), "");
  for (const set of ["CapEff", "CapPrm", "CapInh", "CapAmb"]) assert.match(status[set] ?? "", /^0+$/, set);
  assert.equal(status["NoNewPrivs"], "1");
  assert.equal(status["Seccomp"], "2");
  assert.equal(fs.statSync(`/proc/${pid}/ns/net`).ino, fs.statSync(at.netns).ino);
  assert.notEqual(fs.statSync(`/proc/${pid}/ns/net`).ino, fs.statSync("/proc/self/ns/net").ino);
  assert.equal(fs.statSync(at.runDir).mode & 0o777, 0o700);
  for (const fd of [0, 1, 2]) {
    assert.doesNotMatch(
      fs.readlinkSync(`/proc/${pid}/fd/${fd}`),
      /^(pipe|socket):/,
      "that would tie QEMU to this process",
    );
  }
  assert.equal(await guest.status(), "running");
  assert.ok(findQemus(user).some((found) => found.pid === pid && found.uuid === guest.record.uuid));

  const console = await consoleOf(at);
  await console.until(new RegExp(READY));
  console.send("echo $((6 * 7))-from-the-guest\n");
  await console.until(/42-from-the-guest/);
  console.send("echo $((6 * 8))-later\n");
  await console.until(/48-later/);
  assert.match(fs.readFileSync(`${at.runDir}/console.log`, "utf8"), /42-from-the-guest/);

  await guest.pressPowerButton();
  const report = await guest.exited;
  assert.equal(report.reason, "powerdown");
  assert.equal(report.code, 0);
  assert.equal(isRunning(guest.record), false);
  assert.deepEqual(await guest.exited, report);
});

test("every model comes up where its PCI address was planned, with its MAC; virtio with its MTU and queues", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const models: NicModel[] = ["virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139"];
  const nics: GuestNic[] = [
    ...models.map((model, index) =>
      nic(model, { model, mac: `02:00:00:00:01:0${index}`, ...(model === "virtio" ? { mtu: 1400 } : {}) }),
    ),
    nic("placed", { mac: "02:00:00:00:02:00", pciAddress: "0000:00:05.0" }),
    nic("port", { mac: "02:00:00:00:02:03", pciAddress: "0000:02:00.0" }),
    nic("far", { mac: "02:00:00:00:02:04", pciAddress: "0000:81:00.1" }),
    nic("further", { mac: "02:00:00:00:02:05", model: "e1000", pciAddress: "0000:84:11.3" }),
    nic("queues", { mac: "02:00:00:00:02:01", queues: 2, acpiIndex: 7 }),
    nic("boots", { mac: "02:00:00:00:02:02", bootOrder: 1 }),
  ];
  const spec = await tinySpec(at, nics, { rng: true, cpu: { cores: 2 } });
  const guest = await boot(at, spec);
  const console = await consoleOf(at);
  const boots = await console.until(new RegExp(READY));
  const seen = new Map(
    [...boots.matchAll(/NIC (\S+) (\S+) (\S+) (\d+)/g)].map(([, mac, pci, driver, mtu]) => [mac, { pci, driver, mtu }]),
  );
  const drivers: Record<GuestNic["model"], string> = {
    virtio: "virtio-pci",
    e1000: "e1000",
    e1000e: "e1000e",
    igb: "igb",
    ne2k_pci: "ne2k-pci",
    pcnet: "pcnet32",
    rtl8139: "8139cp",
    "vfio-pci": "igbvf",
  };
  for (const each of nics) {
    const expected = {
      pci: guestPciAddress(spec.hardware, each.name),
      driver: drivers[each.model],
      mtu: String(each.mtu),
    };
    assert.deepEqual(seen.get(each.mac), expected, each.name);
  }
  for (const { name, pciAddress } of nics) {
    if (pciAddress !== undefined) assert.equal(guestPciAddress(spec.hardware, name), pciAddress);
  }

  const buses = await guest.qmp.execute("query-pci");
  const ids = JSON.stringify(buses);
  for (const each of nics) assert.match(ids, new RegExp(`"qdev_id":"ua-${each.name}"`));
  const spare = spec.hardware.ports.filter(
    (port) =>
      spec.hardware.bridges.every(({ place }) => place.bus !== port.id) &&
      !spec.hardware.nics.some((each) => each.place.bus === port.id),
  );
  assert.equal(spare.length, 4);
  for (const port of spare) assert.match(ids, new RegExp(`"qdev_id":"${port.id}"`));

  // One line: the kernel's own may come between two.
  console.send("echo counted-$(ls /sys/class/net/*/queues | grep -c rx-)-$(grep -c processor /proc/cpuinfo)\n");
  const [, queues, processors] = /counted-(\d+)-(\d+)/.exec(await console.until(/counted-\d+-\d+/)) ?? [];
  assert.equal(Number(queues), nics.length + 2, "one rx queue a NIC, one more for two queues, one of lo");
  assert.equal(processors, "2");
});

test("a link can be down from the start, and be set while the guest runs", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const guest = await boot(at, await tinySpec(at, [nic("default", { linkUp: false })]));
  assert.equal(await guest.status(), "running");
  const console = await consoleOf(at);
  await console.until(new RegExp(READY));
  const carrier = async (wanted: string): Promise<void> => {
    console.send(
      `until [ "$(cat /sys/class/net/eth0/carrier)" = ${wanted} ]; do :; done; echo carrier-$((${wanted}+5))\n`,
    );
    await console.until(new RegExp(`carrier-${Number(wanted) + 5}`));
  };
  await carrier("0");
  await guest.setLink("default", true);
  await carrier("1");
  await guest.setLink("default", false);
  await carrier("0");
  await assert.rejects(guest.setLink("none", true), (thrown) => isFault(thrown, "PB5058"));
});

test("a guest outlives a killed daemon, is found again as it was, and its end by SIGKILL is noticed", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const spec = await tinySpec(at, [nic("default")]);
  const starter = spawn(
    process.execPath,
    [fileURLToPath(new URL("qemu-starter.ts", import.meta.url)), JSON.stringify({ spec, place: at })],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [line] = await once(createInterface(starter.stdout), "line");
  const record: GuestRecord = JSON.parse(String(line));
  at.after(async () => (await localRunner().find(record))?.end());
  const before = await consoleOf(at);
  await before.until(new RegExp(READY));
  before.send("memory=kept; echo set-$((1+1))\n");
  await before.until(/set-2/);
  before.close();
  starter.kill("SIGKILL");
  await once(starter, "exit");

  assert.equal(await localRunner().find({ ...record, startTime: record.startTime + 1 }), undefined);
  assert.equal(await localRunner().find({ ...record, uuid: "00000000-0000-4000-8000-000000000000" }), undefined);
  const guest = await localRunner().find(record);
  assert.ok(guest !== undefined);
  assert.equal(await guest.status(), "running");
  const after = await consoleOf(at);
  after.send("echo memory-$memory\n");
  await after.until(/memory-kept/);

  guest.release();
  const again = await localRunner().find(record);
  assert.ok(again !== undefined);
  process.kill(record.pid, "SIGKILL");
  const report = await again.exited;
  assert.equal(report.reason, "killed");
  assert.equal(await localRunner().find(record), undefined);
});

test("a guest that shuts itself down, seen or unseen, and a QEMU killed by its parent's hand, say so", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const spec = await tinySpec(at, []);
  const first = await boot(at, spec);
  const console = await consoleOf(at);
  await console.until(new RegExp(READY));
  console.send("poweroff -f\n");
  assert.equal((await first.exited).reason, "shutdown");

  const unseen = await boot(at, spec);
  const other = await consoleOf(at);
  await other.until(new RegExp(READY));
  unseen.release();
  const observer = await connectQmp(`${at.runDir}/qmp.sock`);
  const over = new Promise<void>((resolve) => {
    observer.onEvent((event) => event.name === "STOP" && resolve());
  });
  other.send("poweroff -f\n");
  await over;
  observer.close();
  const found = await localRunner().find(unseen.record);
  assert.equal((await found?.exited)?.reason, "shutdown");

  const second = await boot(at, spec);
  process.kill(second.record.pid, "SIGKILL");
  const report = await second.exited;
  assert.equal(report.reason, "killed");
  assert.equal(report.signal, "SIGKILL");
  const third = await boot(at, spec);
  assert.equal((await third.end()).reason, "quit");
});

test("disks of every bus are plugged, and NICs may be booted from", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const user = findQemuUser();
  const disks = (["virtio", "sata", "scsi", "usb"] as const).flatMap((bus) =>
    [false, true]
      .filter((cdrom) => !cdrom || bus !== "virtio")
      .map((cdrom): GuestDisk => {
        const name = `${bus}${cdrom ? "-cd" : ""}`;
        const path = `${at.folder}/${name},1.raw`;
        fs.writeFileSync(path, new Uint8Array(1 << 20));
        fs.chownSync(path, user.uid, user.gid);
        return { name, path, format: "raw", bus, readOnly: false, cdrom, serial: `S-${name}` };
      }),
  );
  const nics = (["virtio", "e1000", "e1000e", "rtl8139", "pcnet", "ne2k_pci"] as const).map((model, index) =>
    nic(model, { model, mac: `02:00:00:00:03:0${index}`, bootOrder: index + 1 }),
  );
  const spec = await tinySpec(at, nics, { disks });
  const guest = await boot(at, { ...spec, disks });
  const blocks = JSON.stringify(await guest.qmp.execute("query-block"));
  for (const disk of disks) assert.match(blocks, new RegExp(`"node-name":"node-${disk.name}"`));
});

test("a guest that does not answer is told from one that is gone, and can be ended", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const guest = await boot(at, await tinySpec(at, []));
  process.kill(guest.record.pid, "SIGSTOP");
  await assert.rejects(guest.qmp.execute("query-status", undefined, 100), (thrown) => isFault(thrown, "PB5057"));
  await localRunner().destroy(guest.record);
  assert.equal((await guest.exited).reason, "killed");
  await localRunner().destroy(guest.record);
});

test("a QEMU that ends before it is ready leaves its words and no process", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const spec = await tinySpec(at, [nic("default")]);
  const broken: GuestSpec = { ...spec, kernelBoot: { kernel: "/nonexistent/vmlinuz", args: "" } };
  await assert.rejects(boot(at, broken), (thrown) => {
    assert.ok(isFault(thrown, "PB5056"));
    assert.match(thrown.message, /nonexistent/);
    return true;
  });
  assert.equal(
    findQemus(findQemuUser()).some((found) => found.uuid === spec.uuid),
    false,
  );
});

test("a start is called off while QEMU does not answer, and leaves no process", async (t) => {
  if (!needs(t, "root", "netns", "tun", "qemu", "guestImage")) return;
  const at = world(t);
  const calling = new AbortController();
  const reason = new Error("nobody wants it any more");
  const seen: GuestRecord[] = [];
  const started = (record: GuestRecord): void => {
    seen.push(record);
    process.kill(record.pid, "SIGSTOP");
    setImmediate(() => calling.abort(reason));
  };
  await assert.rejects(
    localRunner().start(await tinySpec(at, []), new Map(), { ...at, started, signal: calling.signal }),
    (thrown) => thrown === reason,
  );
  assert.deepEqual(
    seen.map((record) => isRunning(record)),
    [false],
  );
});

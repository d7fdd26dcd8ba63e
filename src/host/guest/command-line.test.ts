import assert from "node:assert/strict";
import { test } from "node:test";
import { isFault } from "../../model/fault.ts";
import { decideHardware, type HardwareRequest } from "../../model/guest/hardware-decision.ts";
import type { GuestNic, UserNetwork } from "../../model/wiring/wiring.ts";
import { qemuCommandLine, startsPaused } from "./command-line.ts";
import { guestFiles } from "./guest-files.ts";
import type { GuestDisk, GuestSpec } from "./guest-spec.ts";

function nic(name: string, more: Partial<GuestNic> = {}): GuestNic {
  const queues = more.queues ?? 1;
  return {
    name,
    attachment: { kind: "tap", device: "tap0", queues },
    mac: "02:00:00:00:00:01",
    model: "virtio",
    mtu: 1450,
    queues,
    linkUp: true,
    ...more,
  };
}

function spec(
  nics: GuestNic[],
  disks: GuestDisk[] = [],
  more: Partial<HardwareRequest> & Partial<GuestSpec> = {},
): GuestSpec {
  return {
    name: "default/vm,one",
    uuid: "7f3c7a4e-3a1f-4a7a-9a53-0a3a5a1e2b3c",
    accel: "tcg",
    hardware: decideHardware({
      accel: "tcg",
      machines: ["pc-q35-7.2"],
      devices: ["virtio-net-pci", "e1000", "rtl8139"],
      memoryBytes: 256n << 20n,
      nics,
      disks,
      ...more,
    }),
    disks,
    nics,
    ...(more.kernelBoot === undefined ? {} : { kernelBoot: more.kernelBoot }),
  };
}

/** One option a line, as `-option value`. */
function lines(args: readonly string[]): string[] {
  const starts = args.flatMap((arg, index) => (arg.startsWith("-") ? [index] : []));
  return starts.map((start, n) => args.slice(start, starts[n + 1] ?? args.length).join(" "));
}

test("a guest with one NIC and a kernel, whole", () => {
  const one = spec([nic("default")], [], {
    kernelBoot: { kernel: "/i/vmlinuz", initrd: "/i/initrd", args: "console=ttyS0 a,b" },
  });
  assert.deepEqual(lines(qemuCommandLine(one, new Map([["default", [3]]]))), [
    "-name guest=default/vm,,one,debug-threads=on",
    "-uuid 7f3c7a4e-3a1f-4a7a-9a53-0a3a5a1e2b3c",
    "-no-user-config",
    "-nodefaults",
    "-msg timestamp=on",
    "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    "-machine pc-q35-7.2,usb=off,vmport=off,dump-guest-core=off",
    "-accel tcg,thread=multi,tb-size=256",
    "-cpu max",
    "-smp 1,sockets=1,cores=1,threads=1",
    "-m 256M",
    "-rtc base=utc",
    "-boot menu=off,strict=on",
    "-display none",
    "-action shutdown=pause",
    "-chardev socket,id=qmp,path=./qmp.sock,server=on,wait=off",
    "-mon chardev=qmp,mode=control",
    "-chardev socket,id=serial0,path=./serial.sock,server=on,wait=off,logfile=./console.log,logappend=on",
    "-device isa-serial,chardev=serial0",
    "-kernel /i/vmlinuz",
    "-initrd /i/initrd",
    "-append console=ttyS0 a,b",
    "-device pcie-root-port,id=port.1,bus=pcie.0,addr=0x2.0x0,multifunction=on,chassis=1,slot=1",
    "-device pcie-root-port,id=port.2,bus=pcie.0,addr=0x2.0x1,chassis=2,slot=2",
    "-device pcie-root-port,id=port.3,bus=pcie.0,addr=0x2.0x2,chassis=3,slot=3",
    "-device pcie-root-port,id=port.4,bus=pcie.0,addr=0x2.0x3,chassis=4,slot=4",
    "-device pcie-root-port,id=port.5,bus=pcie.0,addr=0x2.0x4,chassis=5,slot=5",
    "-device virtio-serial-pci,id=channels,disable-legacy=on,bus=pcie.0,addr=0x1e.0x0,multifunction=on",
    "-chardev socket,id=agent0,path=./agent.sock,server=on,wait=off",
    "-device virtserialport,bus=channels.0,id=agent-port,chardev=agent0,name=org.qemu.guest_agent.0",
    "-netdev tap,id=host-default,fds=3",
    "-device virtio-net-pci,id=ua-default,netdev=host-default,mac=02:00:00:00:00:01,bus=port.1,addr=0x0.0x0,disable-legacy=on,host_mtu=1450,romfile=",
  ]);
});

test("queues, boot order, acpi index, and models that know no MTU", () => {
  const nics = [
    nic("a", { queues: 4, acpiIndex: 3, bootOrder: 2 }),
    nic("b", { model: "e1000", mac: "02:00:00:00:00:02", bootOrder: 1 }),
    nic("c", { model: "rtl8139", mac: "02:00:00:00:00:03" }),
  ];
  const fds = new Map([
    ["a", [3, 4, 5, 6]],
    ["b", [7]],
    ["c", [8]],
  ]);
  assert.deepEqual(
    lines(qemuCommandLine(spec(nics), fds)).filter((line) => /netdev|bridge/.test(line)),
    [
      "-device pcie-pci-bridge,id=pci.conventional,bus=port.6,addr=0x0.0x0",
      "-netdev tap,id=host-a,fds=3:4:5:6",
      "-device virtio-net-pci,id=ua-a,netdev=host-a,mac=02:00:00:00:00:01,bus=port.1,addr=0x0.0x0,disable-legacy=on,host_mtu=1450,mq=on,vectors=10,bootindex=2,acpi-index=3",
      "-netdev tap,id=host-b,fds=7",
      "-device e1000,id=ua-b,netdev=host-b,mac=02:00:00:00:00:02,bus=pci.conventional,addr=0x1.0x0,bootindex=1",
      "-netdev tap,id=host-c,fds=8",
      "-device rtl8139,id=ua-c,netdev=host-c,mac=02:00:00:00:00:03,bus=pci.conventional,addr=0x2.0x0,romfile=",
    ],
  );
});

test("disks on every bus; the first one boots where nothing is ordered", () => {
  const disks: GuestDisk[] = [
    { name: "cd", path: "/d/a,b.iso", format: "raw", bus: "sata", readOnly: false, cdrom: true },
    { name: "root", path: "/d/root.qcow2", format: "qcow2", bus: "virtio", readOnly: false },
    { name: "sata", path: "/d/s.qcow2", format: "qcow2", bus: "sata", readOnly: true, serial: "S1" },
    { name: "scsi", path: "/d/c.raw", format: "raw", bus: "scsi", readOnly: false },
    { name: "usb", path: "/d/u.raw", format: "raw", bus: "usb", readOnly: false },
  ];
  const args = lines(qemuCommandLine(spec([], disks), new Map()));
  assert.ok(args.includes("-blockdev driver=file,node-name=file-cd,filename=/d/a,,b.iso,read-only=on,discard=unmap"));
  assert.ok(args.includes("-device ide-cd,id=disk-cd,drive=node-cd,bus=ide.0"));
  assert.ok(args.includes("-blockdev driver=qcow2,node-name=node-root,file=file-root,read-only=off,discard=unmap"));
  assert.ok(
    args.some((line) =>
      line.startsWith("-device virtio-blk-pci,id=disk-root,drive=node-root,bootindex=1,disable-legacy=on,bus=pcie.0,"),
    ),
  );
  assert.ok(args.includes("-device ide-hd,id=disk-sata,drive=node-sata,serial=S1,bus=ide.1"));
  assert.ok(args.includes("-device scsi-hd,id=disk-scsi,drive=node-scsi,bus=scsi0.0"));
  assert.ok(args.includes("-device usb-bot,id=usb-usb,bus=usb0.0"));
  assert.ok(args.includes("-device scsi-hd,id=disk-usb,drive=node-usb,bus=usb-usb.0"));
  const ordered = disks.map((disk) => (disk.name === "scsi" ? { ...disk, bootOrder: 1 } : disk));
  const bootable = lines(qemuCommandLine(spec([], ordered), new Map())).filter((line) => line.includes("bootindex="));
  assert.deepEqual(bootable, ["-device scsi-hd,id=disk-scsi,drive=node-scsi,bootindex=1,bus=scsi0.0"]);
});

test("a disk whose name is longer than QEMU takes for a block node gets one that fits", () => {
  const name = `${"d".repeat(62)}e`;
  const disks: GuestDisk[] = ["boot", name].map((each) => ({
    name: each,
    path: `${each}.qcow2`,
    format: "qcow2",
    bus: "virtio",
    readOnly: false,
  }));
  const args = lines(qemuCommandLine(spec([], disks), new Map()));
  assert.ok(args.some((line) => line.startsWith("-blockdev driver=file,node-name=file1,filename=d")));
  assert.ok(args.some((line) => line.startsWith("-blockdev driver=qcow2,node-name=node1,file=file1,")));
  assert.ok(args.some((line) => line.startsWith(`-device virtio-blk-pci,id=disk-${name},drive=node1,`)));
  const nodes = args.flatMap((line) => /node-name=([^,]*)/.exec(line)?.[1] ?? []);
  assert.ok(nodes.length === 4 && nodes.every((node) => node.length <= 31));
});

test("a guest whose link is down at first starts paused", () => {
  const down = spec([nic("default", { linkUp: false })]);
  assert.equal(startsPaused(down), true);
  assert.ok(qemuCommandLine(down, new Map([["default", [3]]])).includes("-S"));
  assert.equal(startsPaused(spec([nic("default")])), false);
});

test("taps that are missing and attachments that are not QEMU's are refused", () => {
  const refused = (thrown: unknown) => isFault(thrown, "PB5059");
  assert.throws(() => qemuCommandLine(spec([nic("default")]), new Map()), refused);
  const plugged = nic("default", { attachment: { kind: "plugin", plugin: "unknown" } });
  assert.throws(() => qemuCommandLine(spec([plugged]), new Map()), refused);
});

const netdevOf = (attachment: GuestNic["attachment"]): string | undefined => {
  const args = qemuCommandLine(spec([nic("default", { attachment })]), new Map());
  return args[args.indexOf("-netdev") + 1];
};

test("slirp: addresses, search domains and each port, of the families that the pod has", () => {
  const user: UserNetwork = {
    kind: "user",
    cidr: "10.0.2.0/24",
    gateway: "10.0.2.2",
    nameserver: "10.0.2.3",
    guest: "10.0.2.15",
    families: [4],
    forwards: [
      { protocol: "tcp", port: 80 },
      { protocol: "udp", port: 53 },
    ],
    nameservers: ["10.96.0.10"],
    search: ["a.b", "b"],
  };
  assert.equal(
    netdevOf(user),
    "user,id=host-default,ipv4=on,ipv6=off,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,dhcpstart=10.0.2.15,dnssearch=a.b,dnssearch=b,hostfwd=tcp::80-:80,hostfwd=udp::53-:53",
  );
  assert.equal(netdevOf({ ...user, families: [6], forwards: [], search: [] }), "user,id=host-default,ipv4=off,ipv6=on");
});

test("passt: QEMU listens on a socket of the guest's folder", () => {
  assert.equal(
    netdevOf({
      kind: "stream",
      process: "passt",
      device: "eth0",
      families: [4, 6],
      ports: { tcp: "all", udp: "all" },
      nameservers: [],
      search: [],
    }),
    "stream,id=host-default,server=on,addr.type=unix,addr.path=./nic0.sock",
  );
});

test("sriov: the host's device as it is, with the guest's place, boot order and index", () => {
  const devices = ["vfio-pci", "virtio-net-pci"];
  const fast = nic("fast", {
    attachment: { kind: "vfio", pci: "0000:02:10.0" },
    model: "vfio-pci",
    bootOrder: 1,
    acpiIndex: 7,
    pciAddress: "0000:00:08.0",
  });
  const args = qemuCommandLine(spec([nic("default"), fast], [], { devices }), new Map([["default", [3]]]));
  assert.deepEqual(
    lines(args).filter((line) => line.includes("fast") || line.includes("-netdev")),
    [
      "-netdev tap,id=host-default,fds=3",
      "-device vfio-pci,id=ua-sriov-fast,host=0000:02:10.0,bus=pcie.0,addr=0x8.0x0,bootindex=1,acpi-index=7",
    ],
  );
  assert.ok(!startsPaused(spec([fast], [], { devices })));
});

test("a folder whose sockets would have too long a path is refused", () => {
  assert.throws(
    () => guestFiles(`/${"d".repeat(100)}`),
    (thrown) => isFault(thrown, "PB5060"),
  );
  assert.throws(
    () => guestFiles(`/${"ä".repeat(50)}`),
    (thrown) => isFault(thrown, "PB5060"),
  );
  assert.equal(guestFiles("/d").qmp, "/d/qmp.sock");
});

// `patchbay domxml`: a whole domain as it is expected to be, and each way in which a NIC may be in it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { VmiSpec } from "../src/model/api/vmi.ts";
import type { DomainDisk, DomainRequest } from "../src/model/guest/domain-request.ts";
import { domainXml } from "../src/model/guest/domain-xml.ts";
import { firmwareUuid } from "../src/model/guest/firmware-uuid.ts";
import { plannedGuest } from "../src/model/wiring/plan.ts";
import type { Attachment } from "../src/model/wiring/wiring.ts";

const spec: VmiSpec = {
  domain: {
    cpu: { cores: 2 },
    memory: { guest: "256Mi" },
    firmware: {
      kernelBoot: {
        container: { image: "patchbay/guest:latest", kernelPath: "/boot/vmlinuz", initrdPath: "/boot/initrd" },
        kernelArgs: "console=ttyS0 'a&b'",
      },
    },
    devices: {
      networkInterfaceMultiqueue: true,
      rng: {},
      autoattachGraphicsDevice: false,
      disks: [
        { name: "root", disk: { bus: "virtio" }, bootOrder: 1 },
        { name: "seed", cdrom: { bus: "sata" } },
      ],
      interfaces: [
        { name: "default", masquerade: {}, bootOrder: 2, macAddress: "02:00:00:00:00:01" },
        { name: "red", macvtap: {}, model: "e1000", macAddress: "02:00:00:00:00:02", state: "down" },
      ],
    },
  },
  networks: [
    { name: "default", pod: {} },
    { name: "red", multus: { networkName: "data" } },
  ],
};

function request(given: VmiSpec, more: Partial<DomainRequest> = {}): DomainRequest {
  const guest = plannedGuest({ spec: given, hostName: "vm", namespace: "default", name: "vm" });
  const base = {
    namespace: "default",
    name: "vm",
    uuid: firmwareUuid("vm"),
    accel: "tcg",
    domain: given.domain,
  } as const;
  return { ...base, ...guest, disks: [], ...more };
}

/** The one NIC of the spec, attached in that way. */
function attached(attachment: Attachment, more: object = {}): string {
  const { interfaces: [nic] = [] } = spec.domain.devices;
  assert.ok(nic !== undefined);
  const devices = { interfaces: [{ ...nic, ...more }] };
  const alone = request({ domain: { devices }, networks: [{ name: "default", pod: {} }] });
  const xml = domainXml({ ...alone, nics: alone.nics.map((one) => ({ ...one, attachment })) });
  return xml.replace(/^ +/gm, "");
}

test("a running guest's domain is as it is written down", () => {
  const folder = "/d/guests/u";
  const xml = domainXml(
    request(spec, {
      uid: "11111111-2222-3333-4444-555555555555",
      graceSeconds: 30,
      folder,
      disks: [
        { name: "root", bus: "virtio", format: "qcow2", readOnly: false, bootOrder: 1, file: `${folder}/root.qcow2` },
        { name: "seed", bus: "sata", format: "raw", readOnly: true, cdrom: true, file: `${folder}/seed.img` },
      ],
    }),
  );
  assert.equal(xml, readFileSync(new URL("domain-xml.golden.xml", import.meta.url), "utf8"));
});

test("the UUID is the one that KubeVirt gives a VMI of that name", () => {
  assert.equal(firmwareUuid("testvmi"), "f8918e71-270a-598e-a2a4-1afac39e1394");
});

test("a virtual function is a device of the host, in KubeVirt's words", () => {
  const xml = attached({ kind: "vfio", pci: "0000:81:02.3" });
  assert.match(
    xml,
    /<hostdev mode='subsystem' type='pci' managed='no'>\n<source>\n<address domain='0x0000' bus='0x81' slot='0x02' function='0x3'\/>\n<\/source>\n<boot order='2'\/>\n<alias name='ua-sriov-default'\/>\n<address type='pci'/,
  );
  assert.doesNotMatch(xml, /<interface/);
});

test("passt has its link and ports; slirp its network, and its ports beside", () => {
  const nameservers = { nameservers: [], search: [], families: [4] } as const;
  const ports = { tcp: [{ port: 80 }, { port: 90, last: 95 }], udp: [] };
  const passt = attached({ kind: "stream", process: "passt", device: "eth0", ports, ...nameservers });
  assert.match(
    passt,
    /<interface type='user'>\n.*\n<backend type='passt'\/>\n<source dev='eth0'\/>\n<portForward proto='tcp'>\n<range start='80'\/>\n<range start='90' end='95'\/>\n<\/portForward>\n<model/,
  );
  const every = attached({
    kind: "stream",
    process: "passt",
    device: "eth0",
    ports: { tcp: "all", udp: "all" },
    ...nameservers,
  });
  assert.match(every, /<portForward proto='tcp'\/>\n<portForward proto='udp'\/>/);
  const slirp = attached({
    kind: "user",
    cidr: "10.0.2.0/24",
    gateway: "10.0.2.2",
    guest: "10.0.2.15",
    nameserver: "10.0.2.3",
    forwards: [{ protocol: "tcp", port: 80 }],
    ...nameservers,
  });
  assert.match(slirp, /<interface type='user'>\n.*\n<ip family='ipv4' address='10\.0\.2\.0' prefix='24'\/>/);
  assert.match(slirp, /<patchbay:forward interface='default' protocol='tcp' port='80'\/>/);
});

test("a disk is told as it is read and written: what nobody chose is QEMU's own choice", () => {
  const disk = { name: "root", bus: "virtio", format: "qcow2", readOnly: false } as const;
  const told = (tuning: DomainDisk["tuning"]): string => {
    const disks = [tuning === undefined ? disk : { ...disk, tuning }];
    return domainXml(request(spec, { disks })).replace(/^ +/gm, "");
  };
  assert.match(told(undefined), /<driver name='qemu' type='qcow2' discard='unmap'\/>\n<target/);
  assert.match(
    told({
      cache: "none",
      io: "native",
      errorPolicy: "enospace",
      shareable: true,
      blockSize: { logical: 512, physical: 4096 },
    }),
    /<driver name='qemu' type='qcow2' cache='none' error_policy='enospace' io='native' discard='unmap'\/>\n<blockio logical_block_size='512' physical_block_size='4096'\/>\n<target dev='vda' bus='virtio'\/>\n<shareable\/>/,
  );
  assert.match(told({ cache: "writethrough", io: "native" }), / cache='writethrough' io='threads' /);
  assert.doesNotMatch(told({ io: "default" }), / io=/);
});

test("USB tablets have a controller beside that of USB disks", () => {
  const devices = { ...spec.domain.devices, inputs: [{ name: "pen", type: "tablet", bus: "usb" }] };
  const alone = domainXml(request({ ...spec, domain: { ...spec.domain, devices } }));
  assert.match(alone, /<controller type='usb' model='qemu-xhci' index='0'>\s+<alias name='tablets'\/>/);
  const disks = [{ name: "stick", disk: { bus: "usb" } }];
  const beside = domainXml(request({ ...spec, domain: { ...spec.domain, devices: { ...devices, disks } } }));
  assert.match(beside, /index='0'>\s+<alias name='usb0'\/>/);
  assert.match(beside, /index='1'>\s+<alias name='tablets'\/>/);
});

test("an acpi index, a PCI address, EFI, huge pages, a watchdog and a screen are told", () => {
  const { devices } = spec.domain;
  const interfaces = [{ name: "default", masquerade: {}, acpiIndex: 7, pciAddress: "0000:00:10.0" }];
  const domain = {
    ...spec.domain,
    cpu: { model: "Nehalem", sockets: 2 },
    memory: { guest: "1Gi", hugepages: { pageSize: "2Mi" } },
    firmware: { serial: 'S"1', bootloader: { efi: { secureBoot: false } } },
    devices: {
      ...devices,
      interfaces,
      disks: [],
      autoattachGraphicsDevice: true,
      watchdog: { name: "dog", i6300esb: { action: "reset" } },
    },
  };
  const xml = domainXml(request({ domain, networks: [{ name: "default", pod: {} }] }, { accel: "kvm" }));
  for (const wanted of [
    "<domain type='kvm'>",
    "<acpi index='7'/>",
    "<address type='pci' domain='0x0000' bus='0x00' slot='0x10' function='0x0'/>",
    "<os firmware='efi'>",
    "<feature enabled='no' name='secure-boot'/>",
    "<page size='2048' unit='KiB'/>",
    "<entry name='serial'>S&quot;1</entry>",
    "<model fallback='forbid'>Nehalem</model>",
    "<topology sockets='2' dies='1' cores='1' threads='1'/>",
    "<watchdog model='i6300esb' action='reset'/>",
    "<model type='vga' heads='1' primary='yes'/>",
  ]) {
    assert.ok(xml.includes(wanted), `${wanted}\n${xml}`);
  }
});
